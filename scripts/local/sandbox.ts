import { chown, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { AllowedNames } from '../../src/http/access/trusted-names.ts'
import { type LocalDaemon, startLocalDaemon } from './daemon.ts'

/** What a client says about a sandbox that it creates. */
export interface SandboxRequest {
  readonly templateID: string
  readonly metadata: Readonly<Record<string, string>>
  readonly envVars: Readonly<Record<string, string>>
  /** Seconds. */
  readonly timeout: number
  /** Guarded by an access token. */
  readonly secure: boolean
  /** At its timeout it is paused, not killed. */
  readonly autoPause: boolean
}

/** A sandbox: its daemon and what the control plane knows about it. */
export interface Sandbox {
  readonly id: string
  readonly request: SandboxRequest
  readonly token: string | undefined
  readonly daemon: LocalDaemon
  readonly startedAt: Date
  endAt: Date
  state: 'running' | 'paused'
  cancelEnd: () => void
}

/** Whose sandboxes these are. */
interface Person {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** What a sandbox is made of. */
export interface SandboxOptions {
  readonly id: string
  /** Directory of its own directory. */
  readonly parent: string
  readonly request: SandboxRequest
  /** As `LocalDaemonOptions.allowed`. */
  readonly allowed: AllowedNames
}

/** Makes a sandbox with a home of its own, and initialises its daemon as a platform does. */
export async function createSandbox({ id, parent, request, allowed }: SandboxOptions): Promise<Sandbox> {
  const person = await defaultPerson()
  const directory = join(parent, id)
  const home = join(directory, 'home')
  await mkdir(home, { recursive: true, mode: 0o755 })
  if (process.getuid?.() === 0) await chown(home, person.uid, person.gid)
  const daemon = await startLocalDaemon({ user: person.name, home, runDir: join(directory, 'run'), allowed })
  const token = request.secure ? crypto.randomUUID().replaceAll('-', '') : undefined
  const now = new Date()
  const sandbox: Sandbox = {
    id,
    request,
    token,
    daemon,
    startedAt: now,
    endAt: now,
    state: 'running',
    cancelEnd: () => {},
  }
  await initialize(sandbox)
  return sandbox
}

/** `POST /init`, at creation and after a pause. */
export async function initialize({ id, daemon, token, request }: Sandbox): Promise<void> {
  const ids = { E2B_SANDBOX_ID: id, E2B_TEMPLATE_ID: request.templateID }
  const body = {
    envVars: { ...request.envVars, ...ids },
    timestamp: new Date().toISOString(),
    ...(token === undefined ? {} : { accessToken: token }),
  }
  const response = await fetch(`${daemon.url}/init`, { method: 'POST', body: JSON.stringify(body) })
  if (response.status !== 204) throw new Error(`the daemon answered its initialisation with ${response.status}`)
}

/** `user`, as in the product's templates, where there is one and this process may act for it; else who runs this. */
async function defaultPerson(): Promise<Person> {
  const uid = process.getuid?.() ?? 0
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'))
  const people = lines.map(([name = '', , number, group]) => ({ name, uid: Number(number), gid: Number(group) }))
  const user = uid === 0 ? people.find(({ name }) => name === 'user') : undefined
  const own = people.find((person) => person.uid === uid) ?? { name: String(uid), uid, gid: process.getgid?.() ?? 0 }
  return user ?? own
}
