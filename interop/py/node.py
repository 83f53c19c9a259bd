# SPDX-License-Identifier: Apache-2.0 OR MIT
"""One libp2p host as the flags say."""

import ipaddress
from contextlib import asynccontextmanager

import libp2p
from libp2p.crypto import ed25519, rsa, secp256k1
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.pb import crypto_pb2
from libp2p.crypto.serialization import deserialize_private_key
from libp2p.crypto.x25519 import create_new_key_pair as noise_key_pair
from libp2p.host.basic_host import _IdentifyNotifee
from libp2p.network.config import ConnectionConfig
from libp2p.peer.peerstore import PeerStore
from libp2p.perf.perf_service import PerfService
from libp2p.rcmgr.connection_limits import ConnectionLimits
from libp2p.rcmgr.manager import ResourceLimits, ResourceManager
from libp2p.rcmgr.memory_limits import MemoryConnectionLimits
from libp2p.security.insecure.transport import PLAINTEXT_PROTOCOL_ID, InsecureTransport
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_PROTOCOL_ID, Transport as NoiseTransport
from libp2p.security.tls.transport import PROTOCOL_ID as TLS_PROTOCOL_ID, TLSTransport
from libp2p.stream_muxer.mplex.mplex import MPLEX_PROTOCOL_ID, Mplex
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX_PROTOCOL_ID, Yamux
from libp2p.transport.quic.config import QUICTransportConfig
from multiaddr import Multiaddr

from certificate import accept_all, self_signed
from flags import UnsupportedError, UsageError, transport_of
from mended import mend
from protocols import ECHO_PROTOCOL, serve_echo

MANY = 100_000
mend()
MUXERS = {"yamux": {YAMUX_PROTOCOL_ID: Yamux}, "mplex": {MPLEX_PROTOCOL_ID: Mplex}}


def key_pair(flags, seed):
    """The identity: --key reads libp2p's protobuf form of a private key; --seed N is Ed25519 from 32 bytes, N little-endian
    and then zeros, so that every implementation gets the same peer ID; seed 0 is random."""
    if flags.key:
        return load_key(flags.key)
    if seed:
        return ed25519.create_new_key_pair(seed.to_bytes(32, "little"))
    if flags.key_type == "ecdsa":
        # libp2p.crypto.ecc makes keys of type 4 (ECC_P256), which the specification does not know; nothing makes type 3 (ECDSA).
        raise UnsupportedError("py-libp2p has no ECDSA identity of the specification")
    makers = {"rsa": rsa, "secp256k1": secp256k1, "ed25519": ed25519}
    return makers[flags.key_type].create_new_key_pair()


def load_key(path):
    """Reads libp2p's protobuf form of a private key. The library takes an Ed25519 key as its 32-byte seed only; the
    specification's form has the public key after it."""
    with open(path, "rb") as file:
        message = crypto_pb2.PrivateKey.FromString(file.read())
    if message.key_type == crypto_pb2.KeyType.Ed25519:
        return ed25519.create_new_key_pair(message.data[:32])
    private = deserialize_private_key(message.SerializeToString())
    return KeyPair(private, private.get_public_key())


def securities(name, pair, peerstore):
    makers = {
        "noise": (NOISE_PROTOCOL_ID, lambda: NoiseTransport(pair, noise_privkey=noise_key_pair().private_key)),
        "tls": (TLS_PROTOCOL_ID, lambda: TLSTransport(pair)),
        "plaintext": (PLAINTEXT_PROTOCOL_ID, lambda: InsecureTransport(pair, peerstore=peerstore)),
    }
    names = ("noise", "tls") if name == "both" else (name,)
    return {protocol: make() for protocol, make in (makers[each] for each in names)}


# What follows the address in a listen address: the socket, and what comes after its port.
SUFFIXES = {"tcp": ("tcp", ""), "ws": ("tcp", "/ws"), "wss": ("tcp", "/wss"), "quic": ("udp", "/quic-v1")}


def listen_addrs(flags):
    """One address a transport. Those on TCP share the port, if it is fixed."""
    version = ipaddress.ip_address(flags.ip).version
    return [
        Multiaddr(f"/ip{version}/{flags.ip}/{socket}/{flags.port}{suffix}")
        for socket, suffix in (SUFFIXES[name] for name in flags.transports)
    ]


def network_key(path):
    """The key of a private network as the library takes it, in hexadecimal."""
    if not path:
        return None
    with open(path, encoding="ascii") as file:
        lines = file.read().split()
    if lines[:2] != ["/key/swarm/psk/1.0.0/", "/base16/"]:
        raise UsageError(f"--pnet {path}: not a key in base16")
    return lines[2]


@asynccontextmanager
async def running_host(flags, listen=False, seed=None):
    """A running host. It serves identify, identify push and ping (the library's defaults), perf (the library's service) and
    echo. It asks a new connection for identify by itself only when it listens, so that a client decides what it measures
    (and because js-libp2p refuses a second identify stream beside the first)."""
    pair = key_pair(flags, flags.seed if seed is None else seed)
    addrs = listen_addrs(flags) if listen else []
    peerstore = PeerStore()
    host = libp2p.new_host(
        key_pair=pair,
        peerstore_opt=peerstore,
        sec_opt=securities(flags.security, pair, peerstore),
        muxer_opt=MUXERS[flags.muxer],
        listen_addrs=addrs or None,
        enable_tcp="tcp" in flags.transports,
        enable_websocket=bool({"ws", "wss"} & set(flags.transports)),
        enable_quic="quic" in flags.transports,
        quic_transport_opt=QUICTransportConfig() if "quic" in flags.transports else None,
        tls_client_config=accept_all() if "wss" in flags.transports else None,
        tls_server_config=self_signed() if listen and "wss" in flags.transports else None,
        psk=network_key(flags.pnet),
        connection_config=connection_config(),
        resource_manager=resource_manager(),
        enable_mDNS=listen and flags.mdns,
    )
    # Retries with a growing delay would hide the first failure and count as handshake time.
    network = host.get_network()
    network.retry_config.max_retries = 0
    if not listen:
        for notifee in [each for each in network.notifees if isinstance(each, _IdentifyNotifee)]:
            network.remove_notifee(notifee)
    await PerfService(host).start()
    host.set_stream_handler(ECHO_PROTOCOL, serve_echo)
    async with host.run(addrs):
        yield host


def connection_config():
    """No pruning, and no dialling of known peers to keep a minimum of connections."""
    return ConnectionConfig(
        max_connections=MANY,
        high_watermark=MANY,
        low_watermark=0,
        min_connections=0,
        max_connections_per_peer=MANY,
        dial_timeout=MANY,
    )


def resource_manager():
    """The library's defaults hold a few hundred connections and rate-limit new ones: too little for a benchmark."""
    return ResourceManager(
        limits=ResourceLimits(max_connections=MANY, max_memory_mb=MANY, max_streams=MANY),
        connection_limits=ConnectionLimits(),
        memory_limits=MemoryConnectionLimits(),
        enable_rate_limiting=False,
        enable_circuit_breaker=False,
        enable_graceful_degradation=False,
    )


def remote_addr(conn):
    """The address of the other side, "" if the library does not tell it: a TLS session tells its socket's only
    (TLSReadWriter.get_transport_addresses fails: no attribute conn), an inbound WebSocket none."""
    try:
        return str(conn.muxed_conn.get_transport_addresses()[0])
    except (AttributeError, IndexError):
        host, port = conn.muxed_conn.get_remote_address() or ("", 0)
        return f"/ip{ipaddress.ip_address(host).version}/{host}/tcp/{port}" if host else ""


def traits(conn, flags, addr):
    """What a connection on addr runs on, in the words of the command line. A transport that secures and multiplexes itself
    is its own muxer."""
    transport = transport_of(addr) if addr else flags.transports[0]
    if transport == "quic":
        return {"transport": transport, "security": "tls", "muxer": transport}
    security = conn.get_negotiated_security_protocol()
    muxer = conn.get_negotiated_muxer_protocol()
    return {
        "transport": transport,
        "security": security.split("/")[1] if security else flags.security,
        "muxer": muxer.split("/")[1] if muxer else flags.muxer,
    }
