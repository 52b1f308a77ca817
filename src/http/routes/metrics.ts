import type { FastifyInstance } from 'fastify'
import { errnoOf } from '../../errors.ts'
import type { Log } from '../../log.ts'
import type { Sampler } from '../../metrics/sample.ts'

/** `GET /metrics` (contract B2, E): one sample of the machine; 500 without a body when a source fails. */
export function metricsRoute(app: FastifyInstance, { sampler, log }: { sampler: Sampler; log: Log }): void {
  app.get('/metrics', async (_request, reply) => {
    reply.header('cache-control', 'no-store')
    try {
      const sample = await sampler.take()
      return reply.header('content-type', 'application/json').send(Buffer.from(`${JSON.stringify(sample)}\n`))
    } catch (error) {
      log.error({ errno: errnoOf(error), error: error instanceof Error ? error.message : typeof error }, 'no metrics')
      return reply.code(500).send()
    }
  })
}
