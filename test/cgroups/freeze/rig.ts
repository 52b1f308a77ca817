import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'vitest'
import type { FreezeRequest } from '../../../src/cgroups/freeze/freezer.ts'
import { createWorkload, type Workload } from '../../../src/cgroups/freeze/workload.ts'
import { type CgroupRoot, makeCgroupRoot } from '../../_util/cgroup.ts'
import { type LogLine, recordingLog } from '../../_util/recording-log.ts'

/** Looks for 10 s at whether everything has stopped, far above what it takes. */
export const LEGACY: FreezeRequest = { hierarchy: false, maxCgroups: undefined, maxWait: 10_000 }
export const HIERARCHY: FreezeRequest = { ...LEGACY, hierarchy: true }

/** Freezing in the test's own process, on cgroups of its own, which the test's process is not in. */
export interface Rig extends AsyncDisposable {
  readonly root: CgroupRoot
  readonly workload: Workload
  readonly logged: readonly LogLine[]
  /** What a cgroup's own `cgroup.freeze` says of each. */
  frozen(): Record<string, boolean>
}

/**
 * Makes `user`, `ptys` and the groups named, with those above them. Call `needsCgroups` first.
 * @param frozenByGuest of these, frozen before the freezer is made.
 */
export async function makeRig(
  groups: readonly string[] = [],
  options: { readonly frozenByGuest?: readonly string[]; readonly watchdogMs?: number } = {},
): Promise<Rig> {
  const root = makeCgroupRoot()
  for (const group of ['user', 'ptys', ...groups]) mkdirSync(`${root.path}/${group}`, { recursive: true })
  for (const group of options.frozenByGuest ?? []) root.write(`${group}/cgroup.freeze`, '1')
  const { log, lines: logged } = recordingLog()
  const { watchdogMs } = options
  const workload = await createWorkload({ root: root.path, log, ...(watchdogMs === undefined ? {} : { watchdogMs }) })
  return {
    root,
    workload,
    logged,
    frozen: () =>
      Object.fromEntries(root.groups().map((group) => [group, root.read(`${group}/cgroup.freeze`) === '1'])),
    async [Symbol.asyncDispose]() {
      await workload.close()
      await root[Symbol.asyncDispose]()
    },
  }
}

/** A process that counts for as long as it is let. Disposing kills it. */
export interface Counter extends AsyncDisposable {
  readonly pid: number
  readonly count: number
  /** Resolves once it has counted on. */
  counts(): Promise<void>
  /** Resolves if it does not count for a while; throws if it does. */
  stands(): Promise<void>
}

/** Long enough for a process that runs to count some ten times. */
const WHILE_MS = 60

/** Starts one in a cgroup. */
export async function makeCounter(root: CgroupRoot, group: string): Promise<Counter> {
  const child = spawn('/bin/sh', ['-c', 'while :; do printf x; sleep 0.005; done'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const ended = once(child, 'exit')
  let count = 0
  child.stdout.on('data', (bytes: Buffer) => {
    count += bytes.length
  })
  await once(child, 'spawn')
  const pid = child.pid ?? 0
  root.write(`${group}/cgroup.procs`, String(pid))
  const counts = async () => {
    const before = count
    await expect.poll(() => count, { interval: 2 }).toBeGreaterThan(before)
  }
  await counts()
  return {
    pid,
    get count() {
      return count
    },
    counts,
    stands: async () => {
      // What it wrote before may be on its way.
      await delay(5)
      const before = count
      await delay(WHILE_MS)
      expect(count).toBe(before)
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
    },
  }
}
