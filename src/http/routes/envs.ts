import type { FastifyInstance } from 'fastify'
import type { ByteBudget } from '../../budget/budget.ts'
import type { Defaults } from '../../users/defaults.ts'
import { holdAnswer } from '../server/hold-answer.ts'

/** What the route works with. */
interface EnvsDeps {
  readonly defaults: Defaults
  readonly budget: ByteBudget
}

/** `GET /envs` (contract B3): all variables that every command gets, as one JSON object sorted by name. */
export function envsRoute(app: FastifyInstance, { defaults, budget }: EnvsDeps): void {
  /** The last answer, until a variable changes: to make it takes long where there are thousands. */
  let last: { readonly variables: ReadonlyMap<string, string>; readonly body: Buffer } | undefined
  app.get('/envs', (request, reply) => {
    const variables = defaults.env.all()
    if (last?.variables !== variables) last = { variables, body: bodyOf(variables) }
    holdAnswer(last.body.length, { request: request.raw, response: reply.raw, budget })
    reply.header('content-type', 'application/json').header('cache-control', 'no-store').send(last.body)
  })
}

/** Written by hand, as an object would put names that are numbers first; as bytes, so that no charset is added. */
function bodyOf(variables: ReadonlyMap<string, string>): Buffer {
  const members = Array.from(variables, ([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
  return Buffer.from(`{${members.join(',')}}\n`)
}
