// SPDX-License-Identifier: Apache-2.0 OR MIT

import { randomBytes } from 'node:crypto'
import { byteStream } from '@libp2p/utils'
import { Uint8ArrayList } from 'uint8arraylist'

export const PING_PROTOCOL = '/ipfs/ping/1.0.0'
export const ECHO_PROTOCOL = '/echo/1.0.0'
export const PERF_PROTOCOL = '/perf/1.0.0'
const PING_BYTES = 32
const HEADER_BYTES = 8
const BLOCK_BYTES = 65536

// chunks yields what the other side sends, up to its end of stream; a reset throws. The stream's own iterator never ends if
// the other side had closed before the iteration began, as it has when protocol name, data and close come in one packet from
// a peer that negotiates lazily: it listens for "remoteCloseWrite" only (AbstractMessageStream[Symbol.asyncIterator] in
// @libp2p/utils 7.4.1).
async function * chunks (stream) {
  const queue = []
  let closed = false
  let wake = () => {}
  stream.addEventListener('message', event => { queue.push(event.data); wake() })
  stream.addEventListener('end', () => { wake() })
  stream.addEventListener('close', () => { closed = true; wake() })
  await null // what is buffered already comes in the microtask that the first listener has queued
  while (true) {
    if (queue.length > 0) {
      yield queue.shift()
    } else if (stream.status === 'reset' || stream.status === 'aborted') {
      throw new Error(`stream ${stream.status}`)
    } else if (stream.readableEnded || closed) {
      return
    } else {
      await new Promise(resolve => { wake = resolve })
    }
  }
}

// serveEcho is the server of /echo/1.0.0: it sends everything back, then closes. (That of @libp2p/echo iterates over the
// stream and so hangs on the peers of which chunks tells.)
export async function serveEcho (stream) {
  try {
    for await (const chunk of chunks(stream)) {
      if (!stream.send(chunk)) await stream.onDrain()
    }
    await stream.close()
  } catch (err) {
    stream.abort(err)
  }
}

// servePerf is the server of /perf/1.0.0: eight bytes say how much to send back, everything up to the client's close of its
// writing side is thrown away, then the answer follows.
export async function servePerf (stream) {
  try {
    const head = new Uint8ArrayList()
    for await (const chunk of chunks(stream)) {
      if (head.byteLength < HEADER_BYTES) head.append(chunk)
    }
    if (head.byteLength < HEADER_BYTES) throw new Error('perf: the stream ended inside the header')
    const want = Buffer.from(head.slice(0, HEADER_BYTES)).readBigUInt64BE()
    await write(stream, Number(want), Buffer.alloc(BLOCK_BYTES))
    await stream.close()
  } catch (err) {
    stream.abort(err)
  }
}

// perf uploads and downloads the given numbers of bytes. The upload has ended when the answer begins (its end of stream, if
// nothing is to come back): the server has then taken every byte.
export async function perf (stream, { upload, download, block }, signal) {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeBigUInt64BE(BigInt(download))
  const start = performance.now()
  let answered
  let received = 0
  const reading = (async () => {
    for await (const chunk of chunks(stream)) {
      answered ??= performance.now()
      received += chunk.byteLength
    }
    answered ??= performance.now()
  })()
  const writing = (async () => {
    stream.send(header)
    await write(stream, upload, Buffer.alloc(block), signal)
    await stream.close({ signal })
  })()
  await Promise.all([writing, reading])
  const end = performance.now()
  if (received !== download) throw new Error(`perf: got ${received} of ${download} bytes`)
  return {
    upload_bytes: upload,
    download_bytes: received,
    upload_seconds: (answered - start) / 1000,
    download_seconds: (end - answered) / 1000
  }
}

// echo sends size random bytes, closes its writing side and checks that the same bytes come back, then the end of stream.
export async function echo (stream, size, signal) {
  const pattern = randomBytes(Math.min(Math.max(size, 1), BLOCK_BYTES))
  let received = 0
  const reading = (async () => {
    for await (const chunk of chunks(stream)) {
      for (const part of chunk instanceof Uint8Array ? [chunk] : chunk) received = check(part, pattern, received, size)
    }
    if (received !== size) throw new Error(`echo: got ${received} of ${size} bytes`)
  })()
  const writing = (async () => {
    await write(stream, size, pattern, signal)
    await stream.close({ signal })
  })()
  await Promise.all([writing, reading])
}

// check compares one part of the answer, which begins at offset, with the repeated pattern, and returns the offset after it.
function check (part, pattern, offset, size) {
  if (offset + part.byteLength > size) throw new Error(`echo: got more than ${size} bytes`)
  for (let i = 0; i < part.byteLength;) {
    const at = (offset + i) % pattern.byteLength
    const n = Math.min(part.byteLength - i, pattern.byteLength - at)
    if (!pattern.subarray(at, at + n).equals(part.subarray(i, i + n))) throw new Error(`echo: wrong byte after ${offset + i}`)
    i += n
  }
  return offset + part.byteLength
}

// pings sends count pings on one stream, as the specification asks, and returns the round trips in milliseconds. (The
// library's own client opens a stream for each ping and measures whole milliseconds.)
export async function pings (stream, count, signal) {
  const bytes = byteStream(stream)
  const rtts = []
  for (let i = 0; i < count; i++) {
    const payload = randomBytes(PING_BYTES)
    const start = performance.now()
    await bytes.write(payload, { signal })
    const answer = await bytes.read({ bytes: PING_BYTES, signal })
    rtts.push(performance.now() - start)
    if (!payload.equals(answer.subarray())) throw new Error('ping: the answer differs from what was sent')
  }
  bytes.unwrap()
  await stream.close({ signal })
  return rtts
}

// write sends size bytes, block after block from its start, and waits whenever the stream is full.
async function write (stream, size, block, signal) {
  for (let left = size; left > 0;) {
    const n = Math.min(left, block.byteLength)
    if (!stream.send(block.subarray(0, n))) await stream.onDrain({ signal })
    left -= n
  }
}
