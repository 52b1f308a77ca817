import { cpus, totalmem } from 'node:os'
import { VERSION } from '../../src/version.ts'
import type { Sandbox, SandboxRequest } from './sandbox.ts'

const CLIENT_ID = 'local'
const DEFAULT_TIMEOUT_SECONDS = 300
const DISK_MB = 10_240

/** Reads the body of a creation, of any release of the SDK; what it does not say has the product's defaults. */
export function toRequest(body: unknown, secureByDefault: boolean): SandboxRequest {
  const given: Readonly<Record<string, unknown>> = typeof body === 'object' && body !== null ? { ...body } : {}
  const lifecycle = given['lifecycle']
  const onTimeout =
    typeof lifecycle === 'object' && lifecycle !== null && 'onTimeout' in lifecycle ? lifecycle.onTimeout : ''
  return {
    templateID: String(given['templateID'] ?? 'base'),
    metadata: textsOf(given['metadata']),
    envVars: textsOf(given['envVars']),
    timeout: secondsOf(given),
    secure: typeof given['secure'] === 'boolean' ? given['secure'] : secureByDefault,
    autoPause: given['autoPause'] === true || onTimeout === 'pause',
  }
}

/** The `timeout` of a body, in seconds. */
export function secondsOf(body: unknown): number {
  const timeout = typeof body === 'object' && body !== null && 'timeout' in body ? Number(body.timeout) : Number.NaN
  return timeout >= 0 ? timeout : DEFAULT_TIMEOUT_SECONDS
}

/** What creating and connecting answer. */
export function created({ id, request, token }: Sandbox): object {
  return {
    sandboxID: id,
    templateID: request.templateID,
    alias: request.templateID,
    clientID: CLIENT_ID,
    envdVersion: VERSION,
    ...(token === undefined ? {} : { envdAccessToken: token }),
  }
}

/** What information and lists tell of a sandbox. */
export function info(sandbox: Sandbox): object {
  return {
    ...created(sandbox),
    startedAt: sandbox.startedAt.toISOString(),
    endAt: sandbox.endAt.toISOString(),
    state: sandbox.state,
    cpuCount: cpus().length,
    memoryMB: Math.round(totalmem() / 2 ** 20),
    diskSizeMB: DISK_MB,
    metadata: sandbox.request.metadata,
  }
}

function textsOf(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {}
  return Object.fromEntries(Object.entries(value).map(([name, text]) => [name, String(text)]))
}
