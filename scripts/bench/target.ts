import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from './client.ts'

/** The daemon that is measured. Disposing stops it, if it was started here, and removes the directory. */
export interface Target extends AsyncDisposable {
  readonly client: Client
  /** Undefined for a daemon that somebody else started: its memory and its start are not measured. */
  readonly pid: number | undefined
  /** A directory of the measurement's own, on the same machine as the daemon. */
  readonly dir: string
}

const LAUNCHER = fileURLToPath(new URL('../envd', import.meta.url))

/** A started daemon. */
export interface Launched {
  readonly child: ChildProcess
  readonly url: string
  /** From the call of exec to the line that tells the address. */
  readonly milliseconds: number
}

/** Starts the built daemon on a free port with its files in `dir`. */
export async function launch(dir: string): Promise<Launched> {
  const started = performance.now()
  const args = ['-port', '0', '-address', '127.0.0.1', '-run-dir', join(dir, 'run'), '-isnotfc', '-kill-on-exit']
  const child = spawn(LAUNCHER, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  const url = await new Promise<string>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the daemon ended with ${code}: ${output}`)))
    child.stdout.on('data', (text) => {
      output += text
      const address = /listening on (http:\/\/\S+)\n/.exec(output)?.[1]
      if (address !== undefined) resolve(address)
    })
  })
  return { child, url, milliseconds: performance.now() - started }
}

/** Ends a launched daemon. */
export async function end({ child }: Launched): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await ended
}

/** A fresh daemon, or the one at `url`. */
export async function makeTarget(url: string | undefined): Promise<Target> {
  const dir = await mkdtemp(join(tmpdir(), 'envd-bench-'))
  const launched = url === undefined ? await launch(dir) : undefined
  const client = new Client(url ?? launched?.url ?? '')
  return {
    client,
    pid: launched?.child.pid,
    dir,
    async [Symbol.asyncDispose]() {
      client.close()
      if (launched !== undefined) await end(launched)
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** Megabytes (of 1024 kB) in a field of /proc/PID/status: `VmRSS`, `VmHWM`. */
export function memoryOf(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1]) / 1024
}

/** Seconds of processor time that a process has used, in ticks of 10 ms. */
export function cpuOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** How much the daemon's memory grows at most while `work` runs, in MB. */
export async function growthDuring(pid: number, work: () => Promise<unknown>): Promise<number> {
  const before = memoryOf(pid, 'VmRSS')
  let most = before
  const timer = setInterval(() => {
    most = Math.max(most, memoryOf(pid, 'VmRSS'))
  }, 50)
  try {
    await work()
  } finally {
    clearInterval(timer)
  }
  return Math.max(most, memoryOf(pid, 'VmRSS')) - before
}
