import { createHash, createHmac } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { sendWhole } from '../_util/http.ts'
import { asUser, shell } from '../_util/rpc.ts'
import { at } from '../http/init-calls.ts'
import type { Machine } from './machine.ts'

/** What the platform knows of a sandbox. */
export interface Sandbox {
  readonly id: string
  readonly templateId: string
  /** Undefined: it has none. */
  readonly token?: string
  readonly envVars?: Readonly<Record<string, string>>
  readonly defaultUser?: string
  readonly defaultWorkdir?: string
  /** Where the sandbox reaches the platform's events service. */
  readonly hyperloopIP?: string
  /** Certificates that the sandbox is to trust. */
  readonly caBundle?: string
}

/** A call of the platform, its time and what became of it. `refused`: nothing listened, or no longer. */
export interface Call {
  readonly name: string
  readonly ms: number
  readonly limit: number
  readonly outcome: 'answered' | 'refused' | 'missed'
}

/** The calls that a platform makes itself, in its order and with its time limits (contract K4 to K24). */
export interface Orchestrator {
  /** All calls so far. */
  readonly calls: readonly Call[]
  /** Tells the metadata service who the machine is. */
  provision(sandbox: Sandbox): void
  /**
   * The loop of attempts, each with a timestamp of its own. Gives the headers of the answer; rejects when it is not
   * 204, or none came within the limit.
   * @param limit milliseconds: 10 s after a resume, 60 s for a template or a cold boot
   * @param timestamp the same for all attempts, as that of a host whose clock is wrong
   */
  init(sandbox: Sandbox, limit: number, timestamp?: string): Promise<Readonly<Record<string, string>>>
  /**
   * Freezes, collapses and reclaims before a snapshot; with `disk` the filesystem as well, as for one of the disk
   * alone.
   */
  prepare(sandbox: Sandbox, disk: boolean): Promise<Readonly<Record<string, unknown>>>
  /** Undoes `prepare`, after a snapshot that failed. */
  rollBack(sandbox: Sandbox): Promise<void>
}

const ATTEMPT_MS = 50
const PAUSE_MS = 5
/** The freeze has this long, and waits half a second less for what it froze. */
const FREEZE_MS = 2000
const COLLAPSE_MS = 10_000
const RECLAIM_MS = 10_000
const DISK_MS = 5000

/** Without dropping caches and compacting memory, which would be those of the machine that runs the test. */
const RECLAIM = 'fstrim / 2>/dev/null; sync -f /; echo reclaimed'

/** The platform's token of a sandbox (contract K9). */
export function tokenOf(sandboxId: string): string {
  return createHmac('sha256', 'the seed of the platform').update(sandboxId).digest('hex')
}

/** What every call carries. */
export function tokenHeader(sandbox: Sandbox): Record<string, string> {
  return sandbox.token === undefined ? {} : { 'x-access-token': sandbox.token }
}

/** A platform for one machine. */
export function createOrchestrator(machine: Pick<Machine, 'url' | 'mmds' | 'collector'>): Orchestrator {
  const calls: Call[] = []
  const timed = async <T>(name: string, limit: number, call: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    const signal = AbortSignal.timeout(limit)
    const before = performance.now()
    const note = (outcome: Call['outcome']) => void calls.push({ name, ms: performance.now() - before, limit, outcome })
    try {
      const answer = await call(signal)
      note('answered')
      return answer
    } catch (error) {
      note(signal.aborted || performance.now() - before > limit ? 'missed' : 'refused')
      throw error
    }
  }
  const post = (sandbox: Sandbox, path: string, limit: number) =>
    timed(path, limit, (signal) =>
      sendWhole(machine.url + path, { method: 'POST', headers: tokenHeader(sandbox), signal }),
    )
  const attempt = (sandbox: Sandbox, timestamp: string) =>
    timed('/init', ATTEMPT_MS, (signal) =>
      sendWhole(`${machine.url}/init`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...tokenHeader(sandbox) },
        body: JSON.stringify(initBody(sandbox, timestamp)),
        signal,
      }),
    )
  const reclaim = async (sandbox: Sandbox) => {
    const headers = { ...asUser('root'), ...tokenHeader(sandbox), 'connect-timeout-ms': String(RECLAIM_MS) }
    const { stdout } = await timed('reclaim', RECLAIM_MS, (signal) =>
      shell(machine.url, RECLAIM, { tag: '_system', headers, signal }),
    )
    if (String(stdout) !== 'reclaimed\n') throw new Error(`reclaiming ended early: ${stdout}`)
  }
  return {
    calls,
    provision: (sandbox) => {
      machine.mmds.options = metadataOf(sandbox, machine.collector.address)
    },
    init: async (sandbox, limit, timestamp) => {
      const end = performance.now() + limit
      for (;;) {
        const answer = await attempt(sandbox, timestamp ?? nowInNanoseconds()).catch((error: unknown) => {
          if (performance.now() > end) throw error
        })
        if (answer?.status === 204) return answer.headers
        if (answer !== undefined) throw new Error(`/init: ${answer.status} ${answer.text}`)
        await delay(PAUSE_MS)
      }
    },
    prepare: async (sandbox, disk) => {
      const wait = FREEZE_MS - 500
      const freeze = await post(sandbox, `/freeze?mode=hierarchy&maxCgroups=512&maxWaitMs=${wait}`, FREEZE_MS)
      const frozen: Record<string, unknown> = JSON.parse(expectStatus(200, freeze))
      expectStatus(200, await post(sandbox, '/collapse', COLLAPSE_MS))
      await reclaim(sandbox)
      if (disk) expectStatus(204, await post(sandbox, '/fsfreeze', DISK_MS))
      return frozen
    },
    rollBack: async (sandbox) => {
      expectStatus(204, await post(sandbox, '/unfreeze', DISK_MS))
      expectStatus(204, await post(sandbox, '/fsthaw', DISK_MS))
    },
  }
}

function expectStatus(wanted: number, { status, text }: { status: number; text: string }): string {
  if (status !== wanted) throw new Error(`${status}, not ${wanted}: ${text}`)
  return text
}

function metadataOf({ id, templateId, token }: Sandbox, address: string): object {
  const accessTokenHash = createHash('sha512')
    .update(token ?? '')
    .digest('hex')
  return { instanceID: id, envID: templateId, address, accessTokenHash }
}

function initBody({ id, templateId, token, ...rest }: Sandbox, timestamp: string): object {
  return { lifecycleID: `life of ${id} of ${templateId}`, accessToken: token, ...rest, timestamp }
}

function nowInNanoseconds(): string {
  return at(BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n)
}
