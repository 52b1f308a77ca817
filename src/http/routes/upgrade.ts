import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../../errors.ts'
import { clientGone } from '../server/client-gone.ts'
import { discardRest } from '../server/discard-rest.ts'

/** The only file that an orchestrator may ask to be run instead of the daemon (contract I2). */
const UPGRADE_TARGET = '/usr/bin/envd.next'

/** Its size, which callers send whole before they read the answer. */
const MAX_TARGET_BYTES = 256 * 1024 * 1024

interface UpgradeRouteDeps {
  readonly initialization: { readonly initialized: boolean }
  /** Undefined: this daemon cannot be exchanged while it runs. */
  readonly upgrade: UpgradeFeature | undefined
}

/** Exchanges the daemon (`src/upgrade`). */
export interface UpgradeFeature {
  /**
   * Stores the body and resolves with the directory of the bundle in it.
   * @param digest of the body; undefined: any.
   */
  deliver(request: FastifyRequest['raw'], digest: string | undefined, signal: AbortSignal): Promise<string>
  /** See `Upgrade.start`. */
  start(directory: string | undefined, signal: AbortSignal): Promise<void>
  /** See `Upgrade.report`. */
  readonly report: object
}

/**
 * `POST /upgrade`: the program in the body, that in the directory that `X-Envd-Upgrade-Bundle` names, or without both
 * this one once more, takes the place of the daemon. Who succeeds gets no answer, but a connection that is closed
 * (contract I8). Before the first `/init` it is 409, unless that header is given, for another target 400 (contract I1,
 * I2), after a failure 500, and 501 where there is no keeper. `GET /upgrade/status`: what came of the newest.
 */
export function upgradeRoute(app: FastifyInstance, { initialization, upgrade }: UpgradeRouteDeps): void {
  app.post('/upgrade', async (request, reply) => {
    const refuse = (status: number, text: string) => {
      discardRest(request.raw, MAX_TARGET_BYTES)
      return reply.code(status).header('content-type', 'text/plain; charset=utf-8').send(text)
    }
    const wanted = wantedOf(request)
    if (!initialization.initialized && wanted.bundle === undefined) return refuse(409, 'envd not initialized')
    if (wanted.problem !== undefined) return refuse(400, wanted.problem)
    if (upgrade === undefined) {
      discardRest(request.raw, MAX_TARGET_BYTES)
      throw new AppError('unimplemented', 'live upgrade is not supported without the keeper')
    }
    try {
      await exchange(request, reply, upgrade, wanted)
    } catch (error) {
      return refuse(500, error instanceof Error ? error.message : String(error))
    }
    // The daemon ends the connection.
    reply.hijack()
    request.raw.socket.destroy()
  })
  app.get('/upgrade/status', async (_, reply) => {
    if (upgrade === undefined) throw new AppError('unimplemented', 'live upgrade is not supported without the keeper')
    return reply.header('cache-control', 'no-store').send(upgrade.report)
  })
}

interface Wanted {
  /** `body` or an absolute path; undefined: the caller is an orchestrator. */
  readonly bundle: string | undefined
  readonly digest: string | undefined
  readonly problem: string | undefined
}

function wantedOf({ headers }: FastifyRequest): Wanted {
  const text = (name: string) => [headers[name] ?? ''].flat().join(', ')
  const [target, bundle, digest] = [text('x-envd-upgrade-bin'), decoded(text('x-envd-upgrade-bundle')), headers[SHA256]]
  const problem = () => {
    if (target !== '' && target !== UPGRADE_TARGET) return 'unsupported upgrade target'
    if (bundle !== '' && bundle !== 'body' && !bundle.startsWith('/')) return 'unsupported upgrade bundle'
    if (digest !== undefined && !/^[0-9a-f]{64}$/.test(String(digest))) return 'malformed upgrade digest'
    return undefined
  }
  return {
    bundle: bundle === '' ? undefined : bundle,
    digest: digest === undefined ? undefined : String(digest),
    problem: problem(),
  }
}

const SHA256 = 'x-envd-upgrade-sha256'

async function exchange(
  { raw }: FastifyRequest,
  reply: FastifyReply,
  upgrade: UpgradeFeature,
  { bundle, digest }: Wanted,
): Promise<void> {
  const signal = clientGone(reply.raw)
  const hasBody = raw.headers['transfer-encoding'] !== undefined || Number(raw.headers['content-length'] ?? 0) > 0
  const inBody = bundle === undefined || bundle === 'body'
  const directory = inBody ? hasBody && (await upgrade.deliver(raw, digest, signal)) : bundle
  await upgrade.start(directory || undefined, signal)
}

/** A path in a header is percent-encoded; what is not is no path either. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return '%'
  }
}
