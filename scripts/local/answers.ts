import { cpus, totalmem } from 'node:os'
import { VERSION } from '../../src/version.ts'
import type { Sandbox } from './sandbox.ts'

const CLIENT_ID = 'local'
const DISK_MB = 10_240

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

/** What lists tell of a sandbox. */
export function listed(sandbox: Sandbox): object {
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

/** All that is known about a sandbox. */
export function info(sandbox: Sandbox): object {
  const { autoPause, autoResume, allowInternetAccess } = sandbox.request
  return {
    ...listed(sandbox),
    lifecycle: { onTimeout: autoPause ? 'pause' : 'kill', autoResume },
    allowInternetAccess: allowInternetAccess ?? null,
    ...(sandbox.network === undefined ? {} : { network: sandbox.network }),
  }
}
