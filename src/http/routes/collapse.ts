import type { FastifyInstance } from 'fastify'

/**
 * The answer of `POST /collapse`, in the order of its keys: nothing was looked at, nothing was merged.
 *
 * The call asks a daemon to gather its memory in huge pages before it is stored in a snapshot; the answer is only
 * advice. Node's heap lies scattered in pieces of 256 KiB: of 24 MB hardly 2 fill a huge page, while stacks and
 * reserved address space, nearly empty, have 318 windows of that size, and filling them would cost 636 MB (measured on
 * Node 24 from /proc/PID/smaps).
 */
const NOTHING_DONE = { alreadyHuge: 0, chunks: 0, collapsed: 0, elapsedMs: 0, regions: 0, skipped: 0 }

/** `POST /collapse` (contract B61): always 200 with zeros. */
export function collapseRoute(app: FastifyInstance): void {
  const body = Buffer.from(`${JSON.stringify(NOTHING_DONE)}\n`)
  app.post('/collapse', (_request, reply) => {
    reply.header('content-type', 'application/json').header('cache-control', 'no-store').send(body)
  })
}
