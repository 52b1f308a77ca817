import type { FastifyInstance } from 'fastify'

/**
 * The answer of `POST /collapse`, in the order of its keys: nothing was looked at, nothing was merged.
 *
 * The call asks a daemon to gather its memory in huge pages before it is stored in a snapshot. Node's heap lies scattered in pieces
 * of 256 KiB, so huge pages would make it take more memory, not less (figures in the README), and the answer is only advice.
 */
const NOTHING_DONE = { alreadyHuge: 0, chunks: 0, collapsed: 0, elapsedMs: 0, regions: 0, skipped: 0 }

/** `POST /collapse` (contract B61): always 200 with zeros. */
export function collapseRoute(app: FastifyInstance): void {
  const body = Buffer.from(`${JSON.stringify(NOTHING_DONE)}\n`)
  app.post('/collapse', (_request, reply) => {
    reply.header('content-type', 'application/json').header('cache-control', 'no-store').send(body)
  })
}
