# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Meeting at a rendezvous point: being one, and asking one."""

from libp2p.discovery.rendezvous.client import RendezvousClient
from libp2p.discovery.rendezvous.service import RendezvousService
from multiaddr import Multiaddr


def serve(flags, host):
    """Makes the host a rendezvous point if --rendezvous says so."""
    if flags.rendezvous:
        RendezvousService(host)


async def ask(host, point, verb, namespace):
    """Runs one operation and returns its answer. Who has registered stays so after its end."""
    client = RendezvousClient(host, point)
    if verb == "register":
        return {"ttl": await client.register(namespace)}
    peers, _ = await client.discover(namespace)
    return {"peers": [{"peer": str(p.peer_id), "addrs": sorted(str(Multiaddr(a.to_bytes())) for a in p.addrs)} for p in peers]}
