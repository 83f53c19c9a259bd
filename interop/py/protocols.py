# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The wire of ping, echo, perf and identify on one open stream. Times are seconds of the monotonic clock."""

import os
import struct
import time

import trio
from libp2p.crypto.serialization import deserialize_public_key
from libp2p.identity.identify.identify import ID as IDENTIFY_PROTOCOL
from libp2p.identity.identify.pb.identify_pb2 import Identify
from libp2p.network.stream.exceptions import StreamEOF, StreamReset
from libp2p.peer.id import ID
from libp2p.stream_muxer.mplex.mplex_stream import MplexStream
from libp2p.transport.quic.exceptions import QUICStreamClosedError
from libp2p.utils import decode_varint_with_size

PING_PROTOCOL = "/ipfs/ping/1.0.0"
ECHO_PROTOCOL = "/echo/1.0.0"
PERF_PROTOCOL = "/perf/1.0.0"
PING_BYTES = 32
BLOCK_BYTES = 65536
IDENTIFY_BYTES = 10 * 8192  # Ten messages of 8 KiB, as other implementations take.


async def chunks(stream):
    """What the other side sends, up to its end of stream; a reset raises. QUIC streams that both sides have ended read as
    closed instead: NetStream.read makes a reset of that too, with the difference in its cause."""
    while True:
        try:
            data = await stream.read(BLOCK_BYTES)
        except StreamEOF:
            return
        except StreamReset as error:
            if isinstance(error.__cause__, QUICStreamClosedError):
                return
            raise
        if not data:
            return
        yield data


async def serve_echo(stream):
    """/echo/1.0.0: sends everything back, then closes."""
    try:
        async for data in chunks(stream):
            await stream.write(data)
        await stream.close()
    except Exception:
        await stream.reset()


async def write_blocks(stream, size, block):
    """Sends size bytes, block after block from its start, and closes the writing side."""
    left = size
    while left > 0:
        part = block[:left] if left < len(block) else block
        await stream.write(part)
        left -= len(part)
    await stream.close_write()


def half_duplex(stream):
    """Whether a task that waits for data keeps every other from writing to the stream, as MplexStream does: its _do_read
    holds the read lock while it waits, its _do_write wants the write lock."""
    return isinstance(stream.muxed_stream, MplexStream)


async def echo(stream, size):
    """Sends size random bytes and checks that the same bytes come back, then the end of stream."""
    pattern = os.urandom(min(max(size, 1), BLOCK_BYTES))
    if half_duplex(stream):
        await echo_in_turns(stream, size, pattern)
    else:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write_blocks, stream, size, pattern)
            await check_echo(stream, size, pattern)
    await stream.close()


async def check_echo(stream, size, pattern):
    """Compares what comes back with size bytes of the repeated pattern."""
    doubled = pattern + pattern
    received = 0
    async for data in chunks(stream):
        if received + len(data) > size:
            raise ValueError(f"echo: got more than {size} bytes")
        for start in range(0, len(data), len(pattern)):
            part = data[start : start + len(pattern)]
            at = (received + start) % len(pattern)
            if doubled[at : at + len(part)] != part:
                raise ValueError(f"echo: wrong byte after {received + start}")
        received += len(data)
    if received != size:
        raise ValueError(f"echo: got {received} of {size} bytes")


async def echo_in_turns(stream, size, pattern):
    """Sends a block only after the one before has come back."""
    for left in range(size, 0, -len(pattern)):
        block = pattern[:left]
        await stream.write(block)
        if await read_exactly(stream, len(block)) != block:
            raise ValueError(f"echo: wrong byte after {size - left}")
    await stream.close_write()
    async for _ in chunks(stream):
        raise ValueError(f"echo: got more than {size} bytes")


async def read_exactly(stream, size):
    data = b""
    while len(data) < size:
        data += await stream.read(size - len(data))
    return data


async def perf(stream, upload, download, block):
    """Uploads and downloads. The upload has ended when the answer begins (its end of stream, if nothing is to come back):
    the server has then taken every byte."""
    start = time.perf_counter()
    answered = None
    received = 0

    async def send():
        await stream.write(struct.pack(">Q", download))
        await write_blocks(stream, upload, bytes(block))

    async with trio.open_nursery() as nursery:
        if half_duplex(stream):
            await send()
        else:
            nursery.start_soon(send)
        async for data in chunks(stream):
            answered = answered or time.perf_counter()
            received += len(data)
    end = time.perf_counter()
    answered = answered or end
    await stream.close()
    if received != download:
        raise ValueError(f"perf: got {received} of {download} bytes")
    return {
        "upload_bytes": upload,
        "download_bytes": received,
        "upload_seconds": answered - start,
        "download_seconds": end - answered,
    }


async def pings(stream, count):
    """Sends count pings on one stream, as the specification asks, and returns the round trips in milliseconds."""
    rtts = []
    for _ in range(count):
        payload = os.urandom(PING_BYTES)
        start = time.perf_counter()
        await stream.write(payload)
        answer = await read_exactly(stream, PING_BYTES)
        rtts.append((time.perf_counter() - start) * 1000)
        if answer != payload:
            raise ValueError("ping: the answer differs from what was sent")
    await stream.close()
    return rtts


async def identify(stream, peer):
    """Reads the answer of /ipfs/id/1.0.0: length-prefixed messages up to the end of stream, merged into one, which must
    carry the peer's own key. (A stream that the other side resets may read as empty: Yamux.read_stream forgets it first.)"""
    data = b""
    async for chunk in chunks(stream):
        data += chunk
        if len(data) > IDENTIFY_BYTES:
            raise ValueError(f"identify: more than {IDENTIFY_BYTES} bytes")
    message = Identify()
    while data:
        length, prefix = decode_varint_with_size(data)
        if prefix == 0 or prefix + length > len(data):
            raise ValueError("identify: torn message")
        message.MergeFromString(data[prefix : prefix + length])
        data = data[prefix + length :]
    await stream.close()
    if not message.public_key or ID.from_pubkey(deserialize_public_key(message.public_key)) != peer:
        raise ValueError("identify: the answer does not carry the peer's key")
    return message
