// SPDX-License-Identifier: Apache-2.0 OR MIT

const PROTOCOL = '/echo/1.0.0'
const BLOCK_BYTES = 16_384

// echo opens a stream, sends size random bytes, closes its writing side and checks that the same bytes come back, then the end
// of the stream.
export async function echo (connection, size, signal) {
  const stream = await connection.newStream(PROTOCOL, { signal })
  const sent = randomBytes(size)
  try {
    await Promise.all([write(stream, sent, signal), compare(stream, sent, signal)])
  } catch (err) {
    stream.abort(err)
    throw err
  }
}

// randomBytes fills its answer in parts of 64 KiB, which is as much as a browser gives at once.
function randomBytes (size) {
  const bytes = new Uint8Array(size)
  for (let at = 0; at < size; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536))
  return bytes
}

async function write (stream, bytes, signal) {
  for (let at = 0; at < bytes.byteLength; at += BLOCK_BYTES) {
    if (!stream.send(bytes.subarray(at, at + BLOCK_BYTES))) await stream.onDrain({ signal })
  }
  await stream.close({ signal })
}

// compare reads to the end of the stream. It listens to events: the stream's own iterator never ends if the remote has closed
// its side before the iteration begins (@libp2p/utils 7.4.1).
function compare (stream, want, signal) {
  let at = 0
  return new Promise((resolve, reject) => {
    const end = err => {
      if (err != null) reject(err)
      else if (at < want.byteLength) reject(new Error(`echo: got ${at} of ${want.byteLength} bytes`))
      else resolve()
    }
    signal.addEventListener('abort', () => { end(new Error(`echo: got ${at} of ${want.byteLength} bytes in time`)) })
    stream.addEventListener('end', () => { end() })
    stream.addEventListener('close', event => { end(event.error) })
    stream.addEventListener('message', ({ data }) => {
      for (const part of data instanceof Uint8Array ? [data] : data) {
        for (const byte of part) {
          if (byte !== want[at++]) return end(new Error(`echo: wrong byte at ${at - 1}`))
        }
      }
    })
  })
}
