# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Circuit relay v2: a relay, places at relays, and connections through them."""

from contextlib import asynccontextmanager

from libp2p.relay.circuit_v2.config import RelayConfig, RelayRole
from libp2p.relay.circuit_v2.protocol import PROTOCOL_ID, CircuitV2Protocol
from libp2p.relay.circuit_v2.resources import RelayLimits
from libp2p.relay.circuit_v2.transport import CircuitV2Transport
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

MANY = 100_000
CIRCUIT = "/p2p-circuit"


def wanted(flags):
    return flags.relay_service or flags.reserve or any(CIRCUIT in arg for arg in flags.args)


@asynccontextmanager
async def running_relay(flags, host):
    """The transport for addresses behind relays, if the command needs it. The library tells peers that limits of 0 are
    none, as the specification has it, and then ends every connection at its first byte (track_data_transfer)."""
    if not wanted(flags):
        yield None
        return
    duration, data = (120, 1 << 17) if flags.relay_limits else (MANY, 1 << 40)
    limits = RelayLimits(duration=duration, data=data, max_circuit_conns=MANY, max_reservations=MANY)
    protocol = CircuitV2Protocol(host, limits, allow_hop=flags.relay_service)
    async with background_trio_service(protocol):
        await protocol.event_started.wait()
        # Without the client role: that would ask for a place before every connection.
        yield CircuitV2Transport(host, protocol, RelayConfig(roles=RelayRole.STOP, limits=limits))


async def reserve(transport, host, text, addr, peer):
    """Has a place at a relay; returns the node's address behind it."""
    await host.get_network().dial_addr(addr, peer)
    stream = await host.new_stream(peer, [PROTOCOL_ID])
    if not await transport._make_reservation(stream, peer):
        raise ConnectionError(f"{text}: no place")
    await stream.close()
    return f"{text}{CIRCUIT}/p2p/{host.get_id()}"


async def dial(transport, host, text, target):
    """Connects through a relay."""
    relay, _ = text.split(CIRCUIT)
    addr, peer = target(relay)
    await host.get_network().dial_addr(addr, peer)
    return await transport.dial(Multiaddr(text))
