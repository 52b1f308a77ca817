import { spawn } from 'node:child_process'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { call, start, transcript } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { kill, sendSignal } from './calls.ts'
import { outputUntil, startedPid } from './following.ts'
import { alive, stateOf } from './proc.ts'

const daemon = commonDaemon()

async function startShell(script: string, cmd = '/bin/sh') {
  const stream = await start(daemon.url, cmd, { args: ['-c', script] })
  return { stream, pid: await startedPid(stream) }
}

/** Reads lines until `count` numbers have come. */
async function numbers(stream: Awaited<ReturnType<typeof start>>, count: number): Promise<number[]> {
  const text = await outputUntil(stream, new RegExp(`(\\d+\\n){${count}}`))
  return text.trim().split('\n').map(Number)
}

const gone = (pid: number) => expect.poll(async () => !(await alive(pid))).toBe(true)

describe.each([
  { signal: 'SIGNAL_SIGKILL', status: 'signal: killed' },
  { signal: 'SIGNAL_SIGTERM', status: 'signal: terminated' },
])('$signal', ({ signal, status }) => {
  test('D57 D60 it ends the whole session of the command: shell, shell, program', async () => {
    const { stream, pid } = await startShell("echo $$; sh -c 'echo $$; sleep 300 & echo $!; wait'; true")
    const pids = await numbers(stream, 3)
    expect(pids[0]).toBe(pid)
    const answer = await sendSignal(daemon.url, { pid }, signal)
    expect(answer).toMatchObject({ status: 200, body: {} })
    expect((await stream.rest()).messages.at(-1)?.event.end).toEqual({ exitCode: -1, status, error: status })
    for (const member of pids) await gone(member)
  })

  test('D60 jobs in process groups of their own are of the session as well', async () => {
    const { stream, pid } = await startShell('set -m; sleep 300 & echo $!; sleep 301 & echo $!; wait', '/bin/bash')
    const jobs = await numbers(stream, 2)
    await sendSignal(daemon.url, { pid }, signal)
    await stream.rest()
    for (const job of jobs) await gone(job)
  })

  test('D60 what was started with nohup or setsid lives on', async () => {
    const { stream, pid } = await startShell(
      'nohup sh -c "echo \\$\\$; exec sleep 300" 2>/dev/null & setsid sh -c "echo \\$\\$; exec sleep 300" & wait',
    )
    const jobs = await numbers(stream, 2)
    await sendSignal(daemon.url, { pid }, signal)
    await stream.rest()
    for (const job of jobs) {
      expect(await alive(job)).toBe(true)
      process.kill(job)
    }
  })

  test('D59 a second time it is not_found', async () => {
    const { stream, pid } = await startShell('sleep 300')
    await sendSignal(daemon.url, { pid }, signal)
    await stream.rest()
    const { status, body } = await sendSignal(daemon.url, { pid }, signal)
    expect(status).toBe(404)
    expect(body).toEqual({ code: 'not_found', message: `process with pid ${pid} not found` })
  })
})

test('D60 a tree that goes on forking is killed to the last process', async () => {
  const { stream, pid } = await startShell(
    'fork() { while :; do (sleep 20 &); sleep 0.01; done; }; fork & fork & echo up; wait',
  )
  await outputUntil(stream, 'up')
  await expect.poll(async () => (await sessionOf(pid)).length > 10).toBe(true)
  await kill(daemon.url, { pid })
  await stream.rest()
  await expect.poll(async () => (await sessionOf(pid)).length === 0).toBe(true)
})

/** Pids of all live processes in the session. */
async function sessionOf(sid: number): Promise<number[]> {
  const pids = (await readdir('/proc')).map(Number).filter(Number.isInteger)
  const members = await Promise.all(
    pids.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
      const [state, , , session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return state !== 'Z' && Number(session) === sid ? [pid] : []
    }),
  )
  return members.flat()
}

test('D62 a command that ignores SIGTERM goes on, and so does its output', async () => {
  const { stream, pid } = await startShell('trap "" TERM; echo up; while sleep 0.05; do echo tick; done')
  await outputUntil(stream, 'up')
  expect((await sendSignal(daemon.url, { pid }, 'SIGNAL_SIGTERM')).status).toBe(200)
  await outputUntil(stream, /(tick\n){3}/)
  expect((await sendSignal(daemon.url, { pid }, 'SIGNAL_SIGTERM')).status).toBe(200)
  await outputUntil(stream, /(tick\n){3}/)
  await kill(daemon.url, { pid })
  expect((await stream.rest()).messages.at(-1)?.event.end).toMatchObject({ status: 'signal: killed' })
})

test('D62 a command that handles SIGTERM ends as it likes', async () => {
  const { stream, pid } = await startShell('trap "echo bye; exit 9" TERM; echo up; while :; do sleep 0.05; done')
  await outputUntil(stream, 'up')
  await sendSignal(daemon.url, { pid }, 'SIGNAL_SIGTERM')
  await outputUntil(stream, 'bye\n')
  expect((await stream.rest()).messages.at(-1)?.event.end).toMatchObject({ exitCode: 9 })
})

test.each([
  ['SIGNAL_UNSPECIFIED', 'SIGNAL_UNSPECIFIED'],
  [0, 'SIGNAL_UNSPECIFIED'],
  [undefined, 'SIGNAL_UNSPECIFIED'],
  ['SIGNAL_SIGINT', 'SIGNAL_UNSPECIFIED'],
  [2, '2'],
  [64, '64'],
])('D56 signal %j is unimplemented', async (signal, shown) => {
  const { stream, pid } = await startShell('sleep 300')
  const { status, body } = await call(daemon.url, 'process.Process/SendSignal', { process: { pid }, signal })
  expect(status).toBe(501)
  expect(body).toEqual({ code: 'unimplemented', message: `invalid signal: ${shown}` })
  expect(await alive(pid)).toBe(true)
  const unknown = await call(daemon.url, 'process.Process/SendSignal', { process: { pid: 2 ** 31 }, signal })
  expect(unknown.body).toMatchObject({ code: 'not_found' })
  await kill(daemon.url, { pid })
  await stream.rest()
})

test('D56 the numbers 9 and 15 are the signals', async () => {
  for (const [number, status] of [
    [9, 'signal: killed'],
    [15, 'signal: terminated'],
  ] as const) {
    const { stream, pid } = await startShell('sleep 300')
    await sendSignal(daemon.url, { pid }, number)
    expect((await stream.rest()).messages.at(-1)?.event.end).toMatchObject({ status })
  }
})

test.each(['SIGNAL_SIGKILL', 'SIGNAL_SIGTERM'])('D60 a stopped session is ended by %s too', async (signal) => {
  const { stream, pid } = await startShell('sleep 300 & echo $!; kill -STOP $! $$')
  const [job = 0] = await numbers(stream, 1)
  for (const stopped of [job, pid]) await expect.poll(async () => (await stateOf(stopped)) === 'T').toBe(true)
  await sendSignal(daemon.url, { pid }, signal)
  await stream.rest()
  await gone(job)
})

test('D60 who got the number of an exited leader is not signalled for it, nor is its session', async (context) => {
  needsNamespace(context)
  await using directory = await makeTmpDir()
  const file = join(directory.path, 'pids')
  const { stream, pid } = await startShell("setsid sh -c 'while sleep 0.1; do echo tick; done' & echo $!")
  const [job = 0] = await numbers(stream, 1)
  await gone(pid)
  const reuse = async () => {
    await writeFile('/proc/sys/kernel/ns_last_pid', String(pid - 1))
    const child = spawn('/bin/sh', ['-c', `sleep 300 & echo $! > ${file}; wait`], { detached: true, stdio: 'ignore' })
    if (child.pid === pid) return child
    child.kill()
    return undefined
  }
  const stranger = await vi.waitUntil(reuse, { interval: 1, timeout: 20_000 })
  const member = await vi.waitUntil(async () => Number(await readFile(file, 'utf8').catch(() => '')), {
    timeout: 20_000,
  })
  expect((await kill(daemon.url, { pid })).status).toBe(200)
  expect((await stream.rest()).messages.at(-1)?.event.end).toMatchObject({ status: 'exit status 0' })
  expect(await alive(pid)).toBe(true)
  expect(await alive(member)).toBe(true)
  for (const each of [job, member]) process.kill(each)
  stranger.kill()
})

test('D57 a kill is carried out to the end, though its client no longer waits', async () => {
  const { stream, pid } = await startShell('for i in $(seq 200); do sleep 300 & done; echo up; wait')
  await outputUntil(stream, 'up')
  const members = await sessionOf(pid)
  expect(members.length).toBeGreaterThan(200)
  const ended = stream.rest()
  const headers = { 'connect-timeout-ms': '1' }
  const killed = async () => {
    await call(daemon.url, 'process.Process/SendSignal', { process: { pid }, signal: 9 }, { headers })
    return !(await alive(pid))
  }
  await expect.poll(killed, { interval: 1 }).toBe(true)
  await ended
  await expect.poll(async () => (await sessionOf(pid)).length === 0).toBe(true)
})

test('D57 a normal exit kills no other process', async () => {
  const said = await transcript(
    await start(daemon.url, '/bin/sh', { args: ['-c', 'sleep 300 >/dev/null 2>&1 & echo $!'] }),
  )
  const job = Number(said.stdout)
  expect(await alive(job)).toBe(true)
  process.kill(job)
})
