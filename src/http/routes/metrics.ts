import type { ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'
import type { ByteBudget } from '../../budget/budget.ts'
import { AppError } from '../../errors.ts'
import { oncePerTurn } from '../../lib/once-per-turn.ts'
import { accepts } from '../../lib/weighted-list.ts'
import type { CallCounts } from '../../metrics/calls.ts'
import { OPENMETRICS_TYPE, toOpenMetrics } from '../../metrics/openmetrics.ts'
import { type LiveFigures, type Sample, toMetricsJson } from '../../metrics/sample.ts'
import { VERSION } from '../../version.ts'
import type { DirectRoute } from '../app/direct.ts'
import { clientGone } from '../server/client-gone.ts'

/** What the route reports. */
interface MetricsRouteOptions {
  readonly sampler: {
    /** Rejects with AppError while there is none. It was logged why. */
    current(signal: AbortSignal): Promise<Sample>
    /** Throws AppError instead of waiting for one. */
    latest(): Sample
  }
  readonly live: () => LiveFigures
  readonly calls: Pick<CallCounts, 'methods'>
  readonly budget: ByteBudget
  /** Since the last sign of activity. */
  readonly idleSeconds: () => number
}

/**
 * `GET /metrics` (contract B2, E, N17): the latest sample as JSON, or, for requests with `?format=openmetrics` or
 * `Accept: application/openmetrics-text`, as OpenMetrics text; 500 without a body while a source fails. Nothing is read
 * for it, and all who ask in the same turn of the event loop get the same text.
 */
export function metricsRoute(options: MetricsRouteOptions): {
  readonly register: (app: FastifyInstance) => void
  /** The usual requests of it, while there is a sample. */
  readonly direct: DirectRoute
} {
  const { sampler } = options
  const answers = createAnswers(options)
  return {
    register: (app) => {
      app.get<{ Querystring: Record<string, unknown> }>('/metrics', async (request, reply) => {
        reply.header('cache-control', 'no-store')
        const open = wantsOpenMetrics(request.query['format'], request.headers.accept)
        if (!(await hasSample(sampler, clientGone(reply.raw)))) return reply.code(500).send()
        const { type, body } = answers[open ? 'open' : 'json']()
        return reply.header('content-type', type).send(body)
      })
    },
    direct: {
      method: 'GET',
      path: '/metrics',
      accept: ({ headers }) => {
        const answer = orNone(answers[wantsOpenMetrics(undefined, headers.accept) ? 'open' : 'json'])
        return answer && (({ response }) => send(response, answer))
      },
    },
  }
}

interface Answer {
  readonly type: string
  readonly body: Buffer
}

/** Each throws as `sampler.latest`. */
function createAnswers({ sampler, live, calls, budget, idleSeconds }: MetricsRouteOptions) {
  const answer = (type: string, text: () => string) => oncePerTurn((): Answer => ({ type, body: Buffer.from(text()) }))
  const notSampled = () => ({ version: VERSION, methods: calls.methods, budget, idleSeconds: idleSeconds() })
  return {
    json: answer('application/json', () => toMetricsJson(sampler.latest(), live())),
    open: answer(OPENMETRICS_TYPE, () => toOpenMetrics(sampler.latest(), notSampled())),
  }
}

function orNone(make: () => Answer): Answer | undefined {
  try {
    return make()
  } catch (error) {
    if (error instanceof AppError) return undefined
    throw error
  }
}

function send(response: ServerResponse, { type, body }: Answer): void {
  const headers = { 'cache-control': 'no-store', 'content-type': type, 'content-length': body.length }
  response.writeHead(200, headers).end(body)
}

/** Waits for the first sample. */
async function hasSample(sampler: MetricsRouteOptions['sampler'], signal: AbortSignal): Promise<boolean> {
  try {
    await sampler.current(signal)
    return true
  } catch (error) {
    if (error instanceof AppError) return false
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
