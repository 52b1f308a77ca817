import type { FastifyInstance } from 'fastify'
import { AppError } from '../../errors.ts'
import { discardRest } from '../server/discard-rest.ts'

/** The only file that a client may ask to be run instead of the daemon (contract I2). */
const UPGRADE_TARGET = '/usr/bin/envd.next'

/** Its size, which callers send whole before they read the answer. */
const MAX_TARGET_BYTES = 256 * 1024 * 1024

/**
 * `POST /upgrade`: this daemon is not exchanged while it runs, so it answers 501, and the caller goes on with it as it
 * is (contract I17). Before the first `/init` it is 409, for another target 400 (contract I1, I2). Nothing of the body,
 * an executable as a rule, is kept.
 */
export function upgradeRoute(app: FastifyInstance, initialization: { readonly initialized: boolean }): void {
  app.post('/upgrade', async (request, reply) => {
    discardRest(request.raw, MAX_TARGET_BYTES)
    const refuse = (status: number, text: string) =>
      reply.code(status).header('content-type', 'text/plain; charset=utf-8').send(text)
    if (!initialization.initialized) return refuse(409, 'envd not initialized')
    const target = request.headers['x-envd-upgrade-bin'] ?? ''
    if (target !== '' && target !== UPGRADE_TARGET) return refuse(400, 'unsupported upgrade target')
    throw new AppError('unimplemented', 'live upgrade is not supported')
  })
}
