import { readFile } from 'node:fs/promises'
import { NEVER } from '../lib/never.ts'
import { forEachMember } from '../lib/session-members.ts'
import { withTimeout } from '../lib/with-timeout.ts'
import type { RunningProcess } from './process.ts'

/** What commands that have no cgroup of their own take while they run, from /proc. */
export interface SessionUsage {
  /**
   * Brings `RunningProcess.seen` of all of them up to date, unless that was done a moment ago, and waits for it at most
   * a quarter of a second: with thousands of processes the figures may be older. Never rejects.
   */
  look(): Promise<void>
}

/** Milliseconds between two looks, which all callers share. */
const LOOK_MS = 500

/** Looking takes at most this share of the time: with thousands of processes it is done less often. */
const LOOKING_SHARE = 0.05

/** How long an answer waits for a look. */
const MAX_WAIT_MS = 250

const KIBIBYTE = 1024

/**
 * Reads /proc only when `look` is called.
 * @param processes the processes that run.
 */
export function createSessionUsage(processes: () => readonly RunningProcess[]): SessionUsage {
  let pause = 0
  let looking: Promise<void> | undefined
  return {
    look: async () => {
      if (looking === undefined) {
        const began = performance.now()
        if (began < pause) return
        const wanted = processes().filter((process) => !process.hasOwnGroup && process.end === undefined)
        if (wanted.length === 0) return
        looking = lookAt(wanted).finally(() => {
          looking = undefined
          const now = performance.now()
          pause = now + Math.max(LOOK_MS, (now - began) / LOOKING_SHARE)
        })
      }
      await withTimeout(MAX_WAIT_MS, looking, NEVER)
    },
  }
}

interface Sum {
  cpuSeconds: number
  memory: number
  /** Peak bytes of the largest process. */
  peak: number
}

async function lookAt(processes: readonly RunningProcess[]): Promise<void> {
  const sums = new Map<number, Sum>(processes.map(({ pid }) => [pid, { cpuSeconds: 0, memory: 0, peak: 0 }]))
  await forEachMember(new Set(sums.keys()), async ({ pid, session, cpuSeconds }) => {
    const { memory, peak } = await memoryOf(pid)
    const sum = sums.get(session)
    if (sum === undefined) return
    sum.cpuSeconds += cpuSeconds
    sum.memory += memory
    sum.peak = Math.max(sum.peak, peak)
  })
  for (const process of processes) {
    const { cpuSeconds, memory, peak } = sums.get(process.pid) ?? { cpuSeconds: 0, memory: 0, peak: 0 }
    // Nothing of it is left, or it belongs to another pid namespace.
    if (memory > 0) process.seen.see({ cpuSeconds, memory, peakMemory: Math.max(peak, memory) })
  }
}

/** Resident bytes of a process (VmRSS, VmHWM of proc_pid_status(5)); 0 of a zombie. */
async function memoryOf(pid: number): Promise<{ readonly memory: number; readonly peak: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '')
  const figure = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0) * KIBIBYTE
  return { memory: figure('VmRSS'), peak: figure('VmHWM') }
}
