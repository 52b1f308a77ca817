import type { ClientHttp2Stream, Http2ServerRequest, ServerHttp2Stream } from 'node:http2'
import type { FastifyInstance } from 'fastify'
import { expect, onTestFinished, test, vi } from 'vitest'
import { startFront } from '../front.ts'
import { openSession } from './slow-route.ts'

const SENT = 200_000
/** Pieces that are large enough to be freed: frames of 16 KiB, but for those that two reads have brought. */
const LARGE_PIECES = 5

const ENDS = {
  'its client resets': (call: ClientHttp2Stream) => call.close(),
  'the daemon gives up': (_: ClientHttp2Stream, stream: ServerHttp2Stream | undefined) => stream?.destroy(),
}

test.for(Object.entries(ENDS))(
  'the memory of a body over HTTP/2 that nobody has read is given back at once when %s its call',
  async ([, end]) => {
    const streams: ServerHttp2Stream[] = []
    const deaf = (app: FastifyInstance) =>
      void app.route({
        method: 'POST',
        url: '/deaf',
        onRequest: (request, reply) => {
          reply.hijack()
          // The cast holds: it comes over HTTP/2.
          streams.push((request.raw as unknown as Http2ServerRequest).stream)
        },
        handler: () => {},
      })
    await using front = await startFront({ routes: [deaf] })
    const session = await openSession(front.port)
    const call = session.request({ ':method': 'POST', ':path': '/deaf' }).on('error', () => {})
    call.write(Buffer.alloc(SENT))
    await expect.poll(() => streams[0]?.readableLength).toBe(SENT)
    const freed = vi.spyOn(ArrayBuffer.prototype, 'transfer')
    onTestFinished(() => freed.mockRestore())
    end(call, streams[0])
    await expect.poll(() => streams[0]?.readableLength).toBe(0)
    expect(freed.mock.calls.length).toBeGreaterThanOrEqual(LARGE_PIECES)
    session.destroy()
  },
)
