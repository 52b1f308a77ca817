import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setPriority } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Seen } from './probe-process.ts'

/** How soon the daemon said that it is healthy, in milliseconds, and how often it did not. */
export interface Health {
  readonly count: number
  readonly failed: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly worst: number
}

/** Asks for health all the time, by a process of its own that comes before the attackers. Disposing ends it. */
export interface Probe extends AsyncDisposable {
  /** What was seen since the last report. */
  report(): Promise<Health>
}

/** Starts one for the daemon at `url`. */
export async function startProbe(url: string): Promise<Probe> {
  const child = fork(fileURLToPath(new URL('probe-process.ts', import.meta.url)), [url])
  await once(child, 'message')
  try {
    setPriority(child.pid ?? 0, -20)
  } catch {
    // Without root it has the priority of everybody.
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

function summary({ times, failed }: Seen): Health {
  const at = (share: number) => round(times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0)
  return { count: times.length, failed, p50: at(0.5), p95: at(0.95), p99: at(0.99), worst: at(1) }
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10
}
