/**
 * A control plane for development: what the SDKs and the CLI ask of a platform, answered by daemons on this machine.
 * Loopback only, no isolation whatsoever: every sandbox is a directory and a daemon beside the others. As root, where
 * there is a user `user`, each has its directory at that user's home, by mounts of its own.
 */
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { refuseForeignPages } from '../../src/http/access/foreign-pages.ts'
import { readOptions } from '../read-options.ts'
import { buildApi } from './api.ts'
import { canMount } from './daemon.ts'
import { createGateway } from './gateway.ts'
import { guardOptions } from './guard-options.ts'
import { defaultPerson } from './person.ts'
import { Sandboxes } from './sandboxes.ts'

const USAGE = `usage: npm run local [-- OPTIONS]
--api-port PORT        of the control plane (3000); 0: a free one
--gateway-port PORT    of the gateway to sandboxes (3002); 0: a free one
--allow-origin ORIGIN  whose pages may call it; may be repeated
--allow-host HOST      name by which it may be called; may be repeated`

const values = readOptions(USAGE, {
  'api-port': { type: 'string', default: '3000' },
  'gateway-port': { type: 'string', default: '3002' },
  'allow-origin': { type: 'string', multiple: true, default: [] },
  'allow-host': { type: 'string', multiple: true, default: [] },
})
const LOOPBACK = '127.0.0.1'

const directory = await mkdtemp(join(tmpdir(), 'envd-local-'))
// Commands run as another user where that is possible.
await chmod(directory, 0o755)
const allowed = { origins: values['allow-origin'], hosts: values['allow-host'] }
const person = await defaultPerson()
// The product's templates have everything of a sandbox there, and programs of its users count on it.
const hasOwnHome = person.name === 'user' && existsSync(person.home) && (await canMount())
const mountedAt = hasOwnHome ? person.home : undefined
const sandboxes = new Sandboxes({ directory, person, mountedAt, allowed })
const api = buildApi(sandboxes, (handler) => refuseForeignPages(handler, guardOptions(allowed)))
const gateway = createGateway(sandboxes, allowed)
// biome-ignore lint/nursery/useAwaitThenable: Fastify's types hide that it is a promise
const apiUrl = await api.listen({ host: LOOPBACK, port: Number(values['api-port']) })
const gatewayUrl = await gateway.listen(LOOPBACK, Number(values['gateway-port']))

const apiKey = `e2b_${'0'.repeat(40)}`
const domain = `localhost:${new URL(gatewayUrl).port}`
console.log(`a control plane for development: loopback only, no isolation; sandboxes live in ${directory}
export E2B_API_URL=${apiUrl} E2B_SANDBOX_URL=${gatewayUrl} E2B_API_KEY=${apiKey} E2B_DOMAIN=${domain}`)

await new Promise<void>((resolve) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve())
})
await sandboxes.close()
gateway.close()
await api.close()
await rm(directory, { recursive: true, force: true })
