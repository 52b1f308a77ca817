import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { daemonPid } from '../../test/_util/daemon-process.ts'
import { Client } from './client.ts'

/** How a daemon is started: the program and its arguments, before those that the benchmark adds. */
export type Command = readonly string[]

/** This project's own daemon, as built. */
export const OWN: Command = [fileURLToPath(new URL('../envd', import.meta.url))]

/** The daemon that is measured. Disposing stops it, if it was started here, and removes the directory. */
export interface Target extends AsyncDisposable {
  readonly client: Client
  /** Undefined for a daemon that was started elsewhere: its memory and its start are not measured. */
  readonly pid: number | undefined
  /** A directory of the measurement's own, on the same machine as the daemon. */
  readonly dir: string
  /** Peaks of the daemon's resident memory during the measures so far, in MB. */
  readonly peaks: number[]
  /** Starts another daemon of the same kind. */
  launch(): Promise<Launched>
}

/** A started daemon. */
export interface Launched {
  readonly child: ChildProcess
  readonly url: string
  /** From the call of exec to the first connection that it accepts. */
  readonly milliseconds: number
}

const STARTED_WITHIN_MS = 20_000

/**
 * Starts a daemon with the flags that all of them have, in a session of its own: the kernel's autogroups share
 * processors out by session (sched(7)), so that a daemon in its client's session would get half of what it gets in a
 * sandbox.
 */
export async function launch(command: Command, dir: string): Promise<Launched> {
  const port = await freePort()
  const [file = '', ...rest] = command
  const own = command === OWN ? ['-address', '127.0.0.1', '-run-dir', join(dir, 'run'), '-kill-on-exit'] : []
  const started = performance.now()
  const child = spawn(file, [...rest, '-port', String(port), '-isnotfc', ...own], {
    stdio: ['ignore', 'ignore', 'inherit'],
    detached: true,
  })
  let failure: Error | undefined
  child.once('error', (error) => (failure = error))
  child.once('exit', (code) => (failure ??= new Error(`${file} ended with ${code}`)))
  while (!(await accepts(port))) {
    if (failure !== undefined) throw failure
    if (performance.now() - started > STARTED_WITHIN_MS) throw new Error(`${file} does not listen on port ${port}`)
  }
  return { child, url: `http://127.0.0.1:${port}`, milliseconds: performance.now() - started }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** Whether a connection is accepted; a refused one costs some 0.1 ms. */
function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/** Ends a launched daemon. */
export async function end({ child }: Launched): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await ended
}

/** A fresh daemon, or the one at `url`. */
export async function makeTarget(command: Command, url?: string): Promise<Target> {
  const dir = await mkdtemp(join(tmpdir(), 'envd-bench-'))
  const launched = url === undefined ? await launch(command, dir) : undefined
  const client = new Client(url ?? launched?.url ?? '')
  return {
    client,
    pid: launched === undefined ? undefined : daemonPid(launched.child.pid ?? 0),
    dir,
    peaks: [],
    launch: () => launch(command, dir),
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

/** The peak of resident memory since the last call, in MB. The next one counts from now on (proc_pid_clear_refs(5)). */
export function takePeak(pid: number): number {
  const most = memoryOf(pid, 'VmHWM')
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
  return most
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
