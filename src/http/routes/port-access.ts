import type { FastifyInstance } from 'fastify'
import { AppError } from '../../errors.ts'
import type { AccessToken } from '../../init/access-token.ts'
import { portCookies } from '../ports/access.ts'

const MAX_PORT = 65_535

/**
 * `POST /port-access?port=N`, with the token: lets the browser open `/ports/N/` for an hour, by cookies that only that
 * path gets. 204. Links and plain navigation cannot show the token itself.
 */
export function portAccessRoute(app: FastifyInstance, token: AccessToken): void {
  app.post('/port-access', (request, reply) => {
    const sent = new URL(request.url, 'http://localhost').searchParams.getAll('port')
    const port = sent.length === 1 && /^[1-9]\d{0,4}$/.test(sent[0] ?? '') ? Number(sent[0]) : 0
    if (port < 1 || port > MAX_PORT) throw new AppError('invalid_argument', 'port must be 1 to 65535')
    const cookies = portCookies(token, port, Date.now() / 1000)
    reply.code(204).header('cache-control', 'no-store').header('set-cookie', cookies).send()
  })
}
