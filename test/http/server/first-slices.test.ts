import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { buffer, text } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'
import { createListener } from '../../../src/http/server/listener.ts'
import { recordingLog } from '../../_util/recording-log.ts'

const HEAD = 'POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'
const AGAIN = 'POST /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n'

/** A body in chunks, most of them of a byte, and how it is sent; some 50 KB of it come with the headers. */
function chunked(bytes: Buffer): string {
  const sizes = [...Array<number>(6_000).fill(1), 3_000, ...Array<number>(3_000).fill(1), bytes.length]
  let at = 0
  const chunks = sizes.map((size) => {
    at += size
    return bytes.toString('latin1', at - size, Math.min(at, bytes.length))
  })
  return `${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')}0\r\n\r\n`
}

async function listen(answer: (request: IncomingMessage) => Promise<string>) {
  const listener = createListener({ log: recordingLog().log, token: { isSet: false } })
  listener.serverFactory((request, response) => {
    answer(request).then(
      (said) => response.end(said),
      () => response.destroy(),
    )
  })
  onTestFinished(() => listener.close(0))
  return listener.listen({ address: '127.0.0.1', port: 0 })
}

/** All that a client is answered that sends `message` in one piece and waits for the end. */
async function answers(port: number, message: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write(message, 'latin1')
  return text(socket)
}

const BYTES = Buffer.from(Array.from({ length: 12_500 }, (_, at) => (at * 7919) % 251))

test('a body in many small chunks, and what follows it, arrive as they were sent', async () => {
  const intact: (string | undefined)[] = []
  const port = await listen(async (request) => {
    if ((await buffer(request)).equals(BYTES)) intact.push(request.url)
    return `answer to ${request.url}`
  })
  const message = `${HEAD}${chunked(BYTES)}${'GET /next HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(5)}${AGAIN}${chunked(BYTES)}`
  const said = await answers(port, message)
  const expected = ['/body', ...Array<string>(5).fill('/next'), '/last'].map((url) => `answer to ${url}`)
  expect(said.match(/answer to \S+?(?=HTTP|$)/g)).toEqual(expected)
  expect(intact).toEqual(['/body', '/last'])
})

test('the parsing of such a body leaves the event loop to others, whether or not it is read', async () => {
  const parts: number[] = []
  const port = await listen(async (request) => {
    const { push } = request
    let pieces = 0
    request.push = (chunk: unknown, encoding?: BufferEncoding) => {
      if (pieces++ === 0) setImmediate(() => parts.push(pieces)).unref()
      return push.call(request, chunk, encoding)
    }
    await once(request, 'end')
    return 'read'
  })
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write(`${HEAD}${'1\r\nx\r\n'.repeat(10_000)}`)
  await expect.poll(() => parts.length).toBeGreaterThan(0)
  expect(parts[0]).toBeLessThan(5_000)
  socket.destroy()
})

test('what follows answers that their client does not take comes once it does', async () => {
  const large = 'x'.repeat(300_000)
  const port = await listen(async (request) => {
    await buffer(request)
    return request.url === '/large' ? large : `answer to ${request.url}`
  })
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.pause()
  const get = (url: string) => `GET ${url} HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(1000)}\r\n\r\n`
  socket.write(
    `${HEAD}${'1\r\nx\r\n'.repeat(1_000)}0\r\n\r\n${get('/large').repeat(20)}${AGAIN}${chunked(BYTES)}`,
    'latin1',
  )
  // Another client is answered meanwhile.
  expect(await answers(port, AGAIN + chunked(BYTES))).toContain('answer to /last')
  const said = await text(socket)
  expect(said.split(large)).toHaveLength(21)
  expect(said).toMatch(/answer to \/last$/)
})

test('a fault in the rest is refused, and a client that leaves meanwhile leaves nothing', async () => {
  const port = await listen(async (request) => String((await buffer(request)).length))
  expect(await answers(port, `${HEAD}${'1\r\nx\r\n'.repeat(3_000)}zz\r\n${'1\r\nx\r\n'.repeat(3_000)}`)).toMatch(
    /^HTTP\/1.1 400 /,
  )
  for (let round = 0; round < 50; round++) {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    await new Promise((sent) => socket.write(`${HEAD}${'1\r\nx\r\n'.repeat(9_000)}`, sent))
    socket.resetAndDestroy()
  }
  expect(await answers(port, AGAIN + chunked(BYTES))).toMatch(/^HTTP\/1.1 200 [\s\S]*12500/)
})
