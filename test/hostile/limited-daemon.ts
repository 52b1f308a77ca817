import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdir, rm, rmdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { expect, type TestContext } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The priority that the daemon's unit gives it, whatever the attacker's is. */
const DAEMON_NICE = -20

/** Enters the cgroup `$0`, then starts the daemon as `scripts/envd` does, with the monitor of halts. */
const LAUNCH = `
  echo $$ >"$0/cgroup.procs"
  . "${root}/scripts/launch-options"
  export $launch_env
  renice -n ${DAEMON_NICE} -p $$ >/dev/null
  exec setsid "${process.execPath}" $launch_flags --require "${root}/test/hostile/halt-monitor.cjs" "${root}/dist/start.cjs" "$@"
`

/** The memory of the smallest sandbox that the daemon is made for. */
const MEMORY = 512 * 2 ** 20

/** Where the memory controller may be, as in `test/metrics/oom-kill.test.ts`. */
const LAYOUTS = [
  { root: '/sys/fs/cgroup', controller: '', limit: 'memory.max', peak: 'memory.peak' },
  { root: '/cgroup1', controller: '/memory', limit: 'memory.limit_in_bytes', peak: 'memory.max_usage_in_bytes' },
  { root: '/sys/fs/cgroup', controller: '/memory', limit: 'memory.limit_in_bytes', peak: 'memory.max_usage_in_bytes' },
] as const

/** What the daemon holds at one moment. */
export interface Held {
  /** Bytes of resident memory, now and at most since the start. */
  readonly resident: number
  readonly peak: number
  readonly descriptors: number
}

/** Turns of the event loop that took the main thread 5 ms or more of processor time. */
export interface Halts {
  readonly count: number
  /** Milliseconds of the longest, 0 if there was none. */
  readonly longest: number
}

/** A daemon alone in a cgroup of 512 MB; what it starts is in it as well. Disposing stops it. */
export interface LimitedDaemon extends Daemon {
  held(): Held
  /** Since the last call, or since it was ready. */
  halts(): Halts
  /** What each of its threads is doing: name, state, and where it waits in the kernel; a line for each. */
  threads(): string
}

/** Starts one. Skips the test, with the reason, where no memory cgroup can be made. */
export async function startLimited(context: TestContext, args: readonly string[] = []): Promise<LimitedDaemon> {
  const directory = await makeGroup(context)
  const halts = `${tmpdir()}/envd-halts-${process.pid}-${performance.now()}`
  const daemon = await startDaemon({
    launch: ['/bin/sh', '-c', LAUNCH, directory],
    args: ['-no-cgroups', ...args],
    env: { ENVD_HALTS: halts },
  })
  // The turn in which it starts answers no request; it is over when there is an answer.
  await sendWhole(`${daemon.url}/health`)
  takeHalts(halts)
  return {
    ...daemon,
    held: () => heldBy(daemon.pid),
    halts: () => takeHalts(halts),
    threads: () => threadsOf(daemon.pid),
    stdout: daemon.stdout,
    stderr: daemon.stderr,
    async [Symbol.asyncDispose]() {
      await daemon[Symbol.asyncDispose]()
      await rm(halts, { force: true })
      const gone = () => rmdir(directory).catch(() => {})
      await expect.poll(() => gone().then(() => existsSync(directory)), { timeout: 15_000 }).toBe(false)
    },
  }
}

async function makeGroup(context: TestContext): Promise<string> {
  for (const { root, controller, limit } of LAYOUTS) {
    const directory = `${root}${controller}/envd-hostile-${process.pid}-${performance.now()}`
    if (!(await mkdir(directory).then(yes, no))) continue
    if (await writeFile(`${directory}/${limit}`, String(MEMORY), { flag: 'r+' }).then(yes, no)) return directory
    await rmdir(directory)
  }
  return context.skip('needs root and a memory cgroup that can be made')
}

const yes = () => true
const no = () => false

function takeHalts(file: string): Halts {
  const lines = existsSync(file) ? readFileSync(file, 'latin1').trim().split('\n').map(Number) : []
  writeFileSync(file, '')
  return { count: lines.length, longest: Math.max(0, ...lines) }
}

function threadsOf(pid: number): string {
  const read = (path: string) => {
    try {
      return readFileSync(`/proc/${pid}/task/${path}`, 'latin1').trim()
    } catch {
      return 'gone'
    }
  }
  const line = (id: string) => {
    const state = /^State:\s+(.*)$/m.exec(read(`${id}/status`))?.[1]
    return [read(`${id}/comm`), state, read(`${id}/wchan`), read(`${id}/syscall`)].join(' ')
  }
  return readdirSync(`/proc/${pid}/task`).map(line).join('\n')
}

function heldBy(pid: number): Held {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0) * 1024
  return {
    resident: bytes('VmRSS'),
    peak: bytes('VmHWM'),
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
  }
}
