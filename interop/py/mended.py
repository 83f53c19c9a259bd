# SPDX-License-Identifier: Apache-2.0 OR MIT
"""What the library does wrong only sometimes, done right, so that the other peer is what decides whether a cell passes."""

from libp2p.transport.quic.exceptions import QUICStreamClosedError
from libp2p.transport.quic.stream import QUICStream, StreamState, _QUICStreamEOF


async def stop_sending(stream, code):
    """What QUICStream does when the other side wants no more data. The library takes a stream that this side has opened for
    closed in both directions then: whatever the other side still sends is lost if it comes a packet later. go-libp2p sends
    STOP_SENDING ahead of the last data of every stream that it has not read to its end, those of identify among them."""
    stream._write_closed = True
    stream._backpressure_event.set()
    async with stream._state_lock:
        stream._state = StreamState.CLOSED if stream._read_closed else StreamState.WRITE_CLOSED
    stream._connection._quic.reset_stream(stream._stream_id, code)
    await stream._connection._transmit()


library_read = QUICStream.read


async def read(stream, n=None):
    """What QUICStream reads. The library looks for data, lets other tasks run, and only then looks for the end: data that
    come with the end in one packet meanwhile are left where they are, and the end is told."""
    try:
        return await library_read(stream, n)
    except (_QUICStreamEOF, QUICStreamClosedError):
        if not stream._receive_buffer:
            raise
        return await library_read(stream, n)


def mend():
    QUICStream.handle_stop_sending = stop_sending
    QUICStream.read = read
