# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The Kademlia DHT: the service beside a host, and its operations."""

from contextlib import asynccontextmanager

from libp2p.crypto.serialization import deserialize_public_key
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.peer.id import ID
from libp2p.records.validator import BlankValidator
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr
from multihash import Func, digest

from flags import DHT_OPERATIONS, UnsupportedError, UsageError

PREFIX = "/ipfs"


@asynccontextmanager
async def running_dht(flags, host):
    """The DHT that --dht asks for, None if it does not. Records of the namespace that all interop peers agree on, /example,
    may be anything."""
    if not flags.dht:
        yield None
        return
    if flags.dht_prefix != PREFIX:
        # KadDHT takes protocol_prefix, but listens and dials with its constant PROTOCOL_ID.
        raise UnsupportedError(f"py-libp2p speaks /ipfs/kad/1.0.0 only, not {flags.dht_prefix}/kad/1.0.0")
    dht = KadDHT(host, DHTMode(flags.dht.upper()))
    dht.register_validator("example", BlankValidator())
    async with background_trio_service(dht):
        yield dht


async def operate(dht, words):
    """Runs one operation and returns its answer."""
    name, *args = words
    if DHT_OPERATIONS.get(name) != len(args):
        raise UsageError(f"dht {' '.join(words)}: want one of {', '.join(DHT_OPERATIONS)} with what it takes")
    return await OPERATIONS[name](dht, *args)


async def find_peer(dht, text):
    return found(wanted(await dht.find_peer(ID.from_string(text))))


async def put(dht, key, value):
    await dht.put_value(key, value.encode())
    return {"ok": True}


async def get(dht, key):
    return {"value": wanted(await dht.get_value(key)).decode()}


async def put_pk(dht):
    """The library writes the peer ID into the key in hexadecimal, where others have its bytes."""
    await dht.put_value(f"/pk/{dht.local_peer_id.to_bytes().hex()}", dht.host.get_public_key().serialize())
    return {"ok": True, "peer": str(dht.local_peer_id)}


async def get_pk(dht, text):
    raw = wanted(await dht.get_value(f"/pk/{ID.from_string(text).to_bytes().hex()}"))
    return {"peer": str(ID.from_pubkey(deserialize_public_key(raw)))}


async def provide(dht, text):
    if not await dht.provider_store.provide(multihash(text)):
        raise LookupError("nobody took ADD_PROVIDER")
    return {"ok": True}


async def find_providers(dht, text):
    providers = await dht.provider_store.find_providers(multihash(text))
    return {"providers": [found(info) for info in wanted(providers)]}


OPERATIONS = {
    "find-peer": find_peer,
    "put": put,
    "get": get,
    "put-pk": put_pk,
    "get-pk": get_pk,
    "provide": provide,
    "find-providers": find_providers,
}


def multihash(text):
    """The sha2-256 multihash of a text: what its CID holds, and the key of its providers."""
    return digest(text.encode(), Func.sha2_256).encode()


def wanted(answer):
    if not answer:
        raise LookupError("not found")
    return answer


def found(info):
    return {"peer": str(info.peer_id), "addrs": sorted(str(Multiaddr(addr.to_bytes())) for addr in info.addrs)}
