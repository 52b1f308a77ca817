import type { FastifyInstance } from 'fastify'
import type { ByteBudget } from '../../budget/budget.ts'
import { AppError } from '../../errors.ts'
import { accepts } from '../../lib/weighted-list.ts'
import type { CallCounts } from '../../metrics/calls.ts'
import { OPENMETRICS_TYPE, toOpenMetrics } from '../../metrics/openmetrics.ts'
import { type LiveFigures, type Sample, toMetricsJson } from '../../metrics/sample.ts'
import { VERSION } from '../../version.ts'
import { clientGone } from '../server/client-gone.ts'

/** What the route reports. */
interface MetricsRouteOptions {
  /** Rejects with AppError while there is none. It was logged why. */
  readonly sampler: { current(signal: AbortSignal): Promise<Sample> }
  readonly live: () => LiveFigures
  readonly calls: Pick<CallCounts, 'methods'>
  readonly budget: ByteBudget
  /** Since the last sign of activity. */
  readonly idleSeconds: () => number
}

/**
 * `GET /metrics` (contract B2, E, N17): the latest sample as JSON, or, for requests with `?format=openmetrics` or
 * `Accept: application/openmetrics-text`, as OpenMetrics text; 500 without a body while a source fails. Nothing is read
 * for it.
 */
export function metricsRoute(
  app: FastifyInstance,
  { sampler, live, calls, budget, idleSeconds }: MetricsRouteOptions,
): void {
  app.get<{ Querystring: Record<string, unknown> }>('/metrics', async (request, reply) => {
    reply.header('cache-control', 'no-store')
    const open = wantsOpenMetrics(request.query['format'], request.headers.accept)
    const sample = await current({ sampler }, clientGone(reply.raw))
    if (sample === undefined) return reply.code(500).send()
    const notSampled = () => ({ version: VERSION, methods: calls.methods, budget, idleSeconds: idleSeconds() })
    const [type, text] = open
      ? [OPENMETRICS_TYPE, toOpenMetrics(sample, notSampled())]
      : ['application/json', toMetricsJson(sample, live())]
    return reply.header('content-type', type).send(Buffer.from(text))
  })
}

async function current({ sampler }: Pick<MetricsRouteOptions, 'sampler'>, signal: AbortSignal) {
  try {
    return await sampler.current(signal)
  } catch (error) {
    if (error instanceof AppError) return undefined
    throw error
  }
}

/** @throws AppError `invalid_argument` for a format that there is not. */
function wantsOpenMetrics(format: unknown, accept: string | undefined): boolean {
  if (format === 'openmetrics' || format === 'json') return format === 'openmetrics'
  if (format !== undefined && format !== '')
    throw new AppError('invalid_argument', 'format must be json or openmetrics')
  return accepts(accept, 'application/openmetrics-text')
}
