import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { beforeEach, expect, test } from 'vitest'
import { close, pidfdOpen } from '../../src/native/index.ts'
import { sessionExists, signalLeader, signalMembers, startTimeOfLeader } from '../../src/process/terminate.ts'
import type { Daemon } from '../_util/daemon.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { call, open, pidOf, start, transcript } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { kill, list } from '../process/calls.ts'
import { startKept, whileAway } from './crash.ts'

beforeEach(needsNamespace)

/**
 * Makes a process with that number, alone of all that are made at the time (`set_tid` in clone3(2)), and replaces it by
 * the program; exits with 1 while there is one with it.
 */
const CLONE_AS = `
import array, ctypes, os, signal, sys
tid = array.array('i', [int(sys.argv[1])])
args = array.array('Q', [0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, tid.buffer_info()[0], 1, 0])
pid = ctypes.CDLL(None).syscall(435, ctypes.c_void_p(args.buffer_info()[0]), ctypes.c_size_t(88))
if pid == 0:
    os.setsid()
    os.execvp(sys.argv[2], sys.argv[2:])
sys.exit(pid < 0)
`

const TRIES = 200

const isThere = async (pid: number) => /\) [^ZX] /.test(await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => ''))

/** A process that the daemon has nothing to do with, leader of a session of its own, with a child in that. */
interface Stranger extends Disposable {
  readonly leader: number
  readonly child: number
}

/** None of them needs to be there. */
function killAll(pids: readonly number[]): void {
  for (const pid of pids.filter((each) => existsSync(`/proc/${each}`))) process.kill(pid, 'SIGKILL')
}

/** A stranger with that number. */
async function startStranger(pid: number): Promise<Stranger> {
  for (let i = 0; i < TRIES; i++) {
    const script = 'sleep 1000 & echo $$ $!; wait'
    const made = spawn('python3', ['-c', CLONE_AS, String(pid), 'sh', '-c', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const line = once(made.stdout, 'data').catch(() => [])
    const [code] = await once(made, 'exit')
    if (code !== 0) continue
    const [leader = 0, child = 0] = String(await line)
      .split(' ')
      .map(Number)
    if (leader === pid) return { leader, child, [Symbol.dispose]: () => killAll([pid, child]) }
    killAll([leader, child])
  }
  throw new Error(`${pid} was not given to a process of ${TRIES}`)
}

/** To be called when the process ends: a stranger has its number once its parent has reaped it. */
async function replace(pid: number): Promise<Stranger> {
  await expect.poll(() => readFile(`/proc/${pid}/stat`).catch(() => 'gone'), { interval: 5 }).toBe('gone')
  return startStranger(pid)
}

/** Has a command end while there is no daemon. */
function replaceWhileAway(daemon: Daemon, pid: number, endFile: string): Promise<Stranger> {
  return whileAway(daemon, async () => {
    await writeFile(endFile, '')
    return replace(pid)
  })
}

/** Both go on. */
async function expectUnharmed({ leader, child }: Stranger): Promise<void> {
  expect([await isThere(leader), await isThere(child)]).toEqual([true, true])
}

test.each([
  ['has ended', ''],
  ['has ended while another session holds its output', 'setsid sleep 1000 & '],
])('while there is no daemon a command %s, and a stranger gets its pid: no signal reaches that', async (_, before) => {
  await using dir = await makeTmpDir()
  await using daemon = await startKept()
  const { url } = daemon
  const script = `${before}echo said; while [ ! -e ${dir.path}/end ]; do sleep 0.02; done; exit 7`
  const headers = { 'connect-timeout-ms': '6000' }
  const begun = performance.now()
  const pid = await pidOf(await start(url, 'sh', { args: ['-c', script], tag: 'mine', headers }))
  using stranger = await replaceWhileAway(daemon, pid, `${dir.path}/end`)
  for (const signal of ['SIGNAL_SIGTERM', 'SIGNAL_SIGKILL'])
    await call(url, 'process.Process/SendSignal', { process: { pid }, signal })
  await call(url, 'jobs.v1.Jobs/Signal', { job: { pid }, signal: 'SIGNAL_KILL' })
  await kill(url, { tag: 'mine' })
  const resumed = { process: { tag: 'mine' }, resumeFrom: { stdout: '0' } }
  const { stdout, end } = await transcript(await open(url, 'process.Process/Connect', resumed))
  expect([String(stdout), end?.status]).toEqual(['said\n', 'exit status 7'])
  expect(await list(url)).toEqual([])
  const { job } = Object((await call(url, 'jobs.v1.Jobs/Get', { job: { pid } })).body)
  expect(job).toMatchObject({ state: 'STATE_ENDED', cause: 'CAUSE_EXIT', exitCode: 7, tag: 'mine' })
  // Its deadline, which the process did not live to see, is none of the stranger's.
  await expect.poll(() => performance.now() - begun, { timeout: 10_000 }).toBeGreaterThan(6_500)
  await expectUnharmed(stranger)
  // Commands end with the daemon (-kill-on-exit).
  await daemon.stop()
  await expectUnharmed(stranger)
})

test('a stranger with the pid of a start command that ended while there was no daemon is not stopped for it', async () => {
  await using dir = await makeTmpDir()
  const script = `echo $$ >>${dir.path}/starts; while [ ! -e ${dir.path}/end ]; do sleep 0.02; done; exit 8`
  await using daemon = await startKept({ args: ['-start-cmd', script, '-ready-cmd', `[ -s ${dir.path}/starts ]`] })
  const { url } = daemon
  const service = async () => (await call(url, 'supervisor.Supervisor/Get', {})).body
  await expect.poll(service).toMatchObject({ status: { state: 'STATE_READY' } })
  const pid = Number(await readFile(`${dir.path}/starts`, 'utf8'))
  using stranger = await replaceWhileAway(daemon, pid, `${dir.path}/end`)
  const ended = { status: { state: 'STATE_FAILED', cause: { kind: 'KIND_EXIT', exitCode: 8 } } }
  await expect.poll(service).toMatchObject(ended)
  await call(url, 'supervisor.Supervisor/Stop', {})
  await call(url, 'supervisor.Supervisor/Start', {})
  await expect.poll(() => readFile(`${dir.path}/starts`, 'utf8')).toMatch(/\n\d+\n/)
  await expectUnharmed(stranger)
  await daemon.stop()
  await expectUnharmed(stranger)
})

test('a leader whom another process has reaped has no session, whoever has its number by then', async () => {
  const ended = spawn('sleep', ['1000'])
  const pid = ended.pid ?? 0
  const pidfd = pidfdOpen(pid)
  try {
    const leader = { pid, pidfd: () => pidfd }
    expect(await startTimeOfLeader(leader)).toMatch(/^\d+$/)
    ended.kill('SIGKILL')
    await once(ended, 'close')
    using stranger = await startStranger(pid)
    expect([await startTimeOfLeader(leader), await sessionExists({ pid, pidfd: () => undefined })]).toEqual([
      undefined,
      false,
    ])
    expect(signalLeader(leader, 'SIGKILL')).toBeUndefined()
    await signalMembers(leader, 'SIGKILL', new AbortController().signal)
    await expectUnharmed(stranger)
  } finally {
    close(pidfd)
  }
})
