import { join } from 'node:path'
import { errnoOf } from '../errors.ts'
import { NEVER } from '../lib/never.ts'
import { withTimeout } from '../lib/with-timeout.ts'
import type { Log } from '../log.ts'
import { CPU_ROOT, openCpuMasks } from './masks.ts'
import { createOnlineWriter } from './online-writer.ts'
import { createTargetFile } from './target-file.ts'
import { createCpuWorker } from './worker.ts'

/** Numbers of CPUs; all 0 outside microVMs. The order of the members is that of the wire. */
export interface CpuFigures {
  readonly online: number
  readonly possible: number
  /** 0: no number was set. */
  readonly target: number
}

/** How many CPUs the platform wants to be online, and how it stands with that (contract N6). */
export interface Cpus {
  /**
   * Makes so many CPUs the target, in the background. Returns why not, in a few words: a number out of range, or a
   * target that cannot be kept for a restart. Takes some 20 ms at most; never rejects.
   */
  request(count: number): Promise<string | undefined>
  /** Figures of `X-Envd-Cpus`, without I/O. */
  figures(): CpuFigures
  /**
   * For the metrics: runs since the target was set, and milliseconds that the write under way has taken so far (0:
   * none).
   */
  progress(): {
    readonly possible: number
    readonly target: number
    readonly attempts: number
    readonly pendingMs: number
  }
  /** Takes up the target that a daemon before this one left, unless there is a newer one. Never rejects. */
  resume(): Promise<void>
  /** Children that must not be reaped elsewhere. */
  pids(): number[]
  /** Releases what it holds; a write that hangs is left to itself. Idempotent. */
  close(): Promise<void>
}

interface CpusOptions {
  /** The directory of `cpu-target`. */
  readonly runDir: string
  /** An open descriptor of /dev/null. */
  readonly devNull: number
  readonly log: Log
  /** Other ones than the standard are for tests. */
  readonly root?: string
  readonly pause?: number
}

/** What keeping the target may hold up an answer for. On a disk that is frozen it follows later. */
const STORE_MS = 20

/** Opens the CPUs of the machine. Never rejects: where nothing is known of them every target is refused. */
export async function openCpus({ runDir, devNull, log, root = CPU_ROOT, ...timing }: CpusOptions): Promise<Cpus> {
  const masks = await openCpuMasks(root)
  const file = createTargetFile(join(runDir, 'cpu-target'))
  const writer = createOnlineWriter(devNull)
  const worker = createCpuWorker({ root, masks, writer, log, ...timing })
  const possible = masks.possible.length
  return {
    request: async (count) => {
      if (count < 1 || count > possible) return `cpu target ${count} outside 1..${possible}`
      const stored = file.store(count).then(
        () => undefined,
        (error: unknown) => `cpu target ${count} not stored: ${errnoOf(error) ?? 'unknown error'}`,
      )
      const problem = await withTimeout(STORE_MS, stored, NEVER)
      if (problem === undefined) worker.aim(count)
      return problem
    },
    figures: () => ({ online: masks.online().length, possible, target: worker.target }),
    progress: () => ({ possible, target: worker.target, attempts: worker.attempts, pendingMs: writer.pendingMs() }),
    resume: async () => {
      const target = await file.read()
      if (target !== undefined && target >= 1 && target <= possible && worker.target === 0) worker.aim(target)
    },
    pids: writer.pids,
    close: async () => {
      worker.close()
      writer.close()
      await masks.close()
    },
  }
}

/** Where CPUs are none of the daemon's business: all is accepted, and nothing done. */
export const NO_CPUS: Cpus = {
  request: async () => undefined,
  figures: () => ({ online: 0, possible: 0, target: 0 }),
  progress: () => ({ possible: 0, target: 0, attempts: 0, pendingMs: 0 }),
  resume: async () => {},
  pids: () => [],
  close: async () => {},
}
