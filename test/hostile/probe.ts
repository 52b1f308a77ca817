import { fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { setPriority } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Daemon } from '../_util/daemon.ts'
import type { Seen } from './probe-process.ts'

/** How soon the daemon said that it is healthy, in milliseconds, and how often it did not. */
export interface Health {
  readonly count: number
  readonly failed: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly worst: number
  /**
   * Milliseconds of processor time of the daemon's main thread between question and answer: what other work on the
   * machine takes is not in it.
   */
  readonly busyP95: number
  readonly busyP99: number
}

/** Asks for health all the time, by a process of its own that comes before the attackers. Disposing ends it. */
export interface Probe extends AsyncDisposable {
  /** What was seen since the last report. */
  report(): Promise<Health>
}

/** Starts one for a daemon. */
export async function startProbe({ url, pid }: Pick<Daemon, 'url' | 'pid'>): Promise<Probe> {
  const child = fork(fileURLToPath(new URL('probe-process.ts', import.meta.url)), [url, String(pid)], {
    // A session of its own: the kernel shares processors out by session (autogroups, sched(7)), and the attackers' has
    // other work.
    detached: true,
  })
  await once(child, 'message')
  try {
    setPriority(child.pid ?? 0, -20)
    writeFileSync(`/proc/${child.pid}/autogroup`, '-20')
  } catch {
    // Without root, or without autogroups, it has the normal priority.
  }
  return {
    report: async () => {
      child.send('report')
      const [seen] = (await once(child, 'message')) as [Seen]
      return summary(seen)
    },
    async [Symbol.asyncDispose]() {
      child.disconnect()
      await once(child, 'exit')
    },
  }
}

function summary({ times, busy, failed }: Seen): Health {
  const at = (share: number, of = times) => round(of[Math.min(of.length - 1, Math.floor(of.length * share))] ?? 0)
  const [busyP95, busyP99] = [at(0.95, busy), at(0.99, busy)]
  return { count: times.length, failed, p50: at(0.5), p95: at(0.95), p99: at(0.99), worst: at(1), busyP95, busyP99 }
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10
}
