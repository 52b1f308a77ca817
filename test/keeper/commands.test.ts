import { readdir, readFile, writeFile } from 'node:fs/promises'
import { type Timestamp, timestampMs } from '@bufbuild/protobuf/wkt'
import { createClient } from '@connectrpc/connect'
import { createConnectTransport } from '@connectrpc/connect-node'
import { expect, test } from 'vitest'
import { Jobs } from '../../src/gen/jobs/v1/jobs_pb.js'
import { call, open, pidOf, shell, start, transcript } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { closeStdin, connect, kill, list, resize, sendInput } from '../process/calls.ts'
import { outputUntil } from '../process/following.ts'
import { crash, startKept, upgrade } from './crash.ts'

const milliseconds = (time: Timestamp | undefined) => (time === undefined ? Number.NaN : timestampMs(time))

test.each(['SIGKILL', 'SIGSEGV'] as const)(
  'a command goes on after %s of the daemon: same pid and tag, input, output and exit code',
  async (signal) => {
    await using daemon = await startKept()
    const { url } = daemon
    const stream = await start(url, 'sh', {
      args: ['-c', 'while read line; do echo "got $line"; [ "$line" = end ] && exit 7; done; exit 9'],
      tag: 'reader',
    })
    const pid = await pidOf(stream)
    await sendInput(url, { pid }, { stdin: 'one\n' })
    await outputUntil(stream, 'got one\n')
    await crash(daemon, signal)
    await expect(stream.rest()).rejects.toThrow()
    expect(await list(url)).toMatchObject([{ pid, tag: 'reader', config: { cmd: 'sh' } }])
    await sendInput(url, { tag: 'reader' }, { stdin: 'two\n' })
    const again = await connect(url, { tag: 'reader' })
    await outputUntil(again, 'got two\n')
    await crash(daemon, signal)
    const third = await connect(url, { pid })
    await sendInput(url, { pid }, { stdin: 'end\n' })
    const { end } = await transcript(third)
    expect(end).toMatchObject({ exitCode: 7, exited: true, status: 'exit status 7' })
    expect(await list(url)).toEqual([])
  },
)

test('jobs that an earlier daemon has started are listed, in binary as well, with the time of their start', async () => {
  await using daemon = await startKept()
  const jobs = createClient(Jobs, createConnectTransport({ baseUrl: daemon.url, httpVersion: '1.1' }))
  const all = async () => (await jobs.list({})).jobs
  const stream = await start(daemon.url, 'sleep', { args: ['1000'] })
  const pid = await pidOf(stream)
  const { stderr } = await shell(daemon.url, 'echo over >&2; exit 3')
  expect(String(stderr)).toBe('over\n')
  const before = await all()
  await crash(daemon)
  const after = await all()
  expect(after.map((job) => [job.pid, job.exitCode])).toEqual(before.map((job) => [job.pid, job.exitCode]))
  for (const [index, { started }] of after.entries())
    expect(Math.abs(milliseconds(started) - milliseconds(before[index]?.started))).toBeLessThan(1000)
  expect((await jobs.get({ job: { selector: { case: 'pid', value: pid } } })).job?.args).toEqual(['1000'])
})

test('what a command writes while there is no daemon follows, with offsets that go on', async () => {
  await using daemon = await startKept()
  await using dir = await makeTmpDir()
  const { url } = daemon
  const script = `echo 12345; while [ ! -e ${dir.path}/go ]; do sleep 0.02; done; echo 67890; sleep 0.2; echo abc; exit 3`
  const stream = await start(url, 'sh', { args: ['-c', script] })
  const pid = await pidOf(stream)
  await outputUntil(stream, '12345\n')
  // A daemon that is stopped reads nothing.
  process.kill(daemon.pid, 'SIGSTOP')
  await writeFile(`${dir.path}/go`, '')
  await expect.poll(() => readFile(`/proc/${pid}/stat`, 'latin1')).toContain(') Z')
  await crash(daemon)
  const again = await open(url, 'process.Process/Connect', { process: { pid }, resumeFrom: { stdout: '6' } })
  const { messages } = await again.rest()
  const offsets = messages.flatMap(({ event }) => event.data?.offset ?? [])
  const text = messages.map(({ event }) => Buffer.from(event.data?.stdout ?? '', 'base64').toString()).join('')
  expect(text).toBe('67890\nabc\n')
  expect(messages.at(-1)?.event.end).toMatchObject({ status: 'exit status 3' })
  expect(offsets[0]).toBe('6')
  expect(offsets.at(-1)).toMatch(/^(6|12)$/)
})

test.each([
  ['exit 0', 'exit status 0'],
  ['exit 42', 'exit status 42'],
  ['kill -TERM $$', 'signal: terminated'],
])('a command that ends by "%s" while there is no daemon ends with its output and status', async (script, status) => {
  await using daemon = await startKept()
  await using dir = await makeTmpDir()
  const { url } = daemon
  const waiting = `while [ ! -e ${dir.path}/go ]; do sleep 0.02; done; echo bye; ${script}`
  const pid = await pidOf(await start(url, 'sh', { args: ['-c', waiting] }))
  // A daemon that is stopped reads and reaps nothing.
  process.kill(daemon.pid, 'SIGSTOP')
  await writeFile(`${dir.path}/go`, '')
  await expect.poll(() => readFile(`/proc/${pid}/stat`, 'latin1')).toContain(') Z')
  await crash(daemon)
  const { stdout, end } = await transcript(await connect(url, { pid }))
  expect([String(stdout), end?.status]).toEqual(['bye\n', status])
})

test('a terminal is not hung up: typing, size and exit code', async () => {
  await using daemon = await startKept()
  const { url } = daemon
  const stream = await start(url, 'bash', { args: ['--norc', '-i'], pty: { cols: 80, rows: 24 } })
  const pid = await pidOf(stream)
  await sendInput(url, { pid }, { pty: 'trap "echo HUNG" HUP; echo re""ady\n' })
  await outputUntil(stream, 'ready\r\n')
  for (let round = 0; round < 3; round++) {
    await crash(daemon)
    const again = await connect(url, { pid })
    await sendInput(url, { pid }, { pty: `echo ro""und ${round}\n` })
    expect(await outputUntil(again, `round ${round}\r\n`)).not.toContain('HUNG\r\n')
    again.close()
  }
  expect((await resize(url, { pid }, { cols: 33, rows: 44 })).status).toBe(200)
  const last = await connect(url, { pid })
  await sendInput(url, { pid }, { pty: 'stty size; exit 5\n' })
  const { pty, end } = await transcript(last)
  expect(String(pty)).toContain('44 33')
  expect(end?.status).toBe('exit status 5')
})

test('standard input that was closed before and after a crash is at its end', async () => {
  await using daemon = await startKept()
  const { url } = daemon
  const before = await pidOf(await start(url, 'sh', { args: ['-c', 'cat >/dev/null; sleep 0.3; exit 4'] }))
  await closeStdin(url, { pid: before })
  const after = await pidOf(await start(url, 'sh', { args: ['-c', 'cat >/dev/null; exit 6'] }))
  await crash(daemon)
  await closeStdin(url, { pid: after })
  expect((await transcript(await connect(url, { pid: before }))).end?.exitCode).toBe(4)
  expect((await transcript(await connect(url, { pid: after }))).end?.exitCode).toBe(6)
})

test('without a crash the end of standard input is seen at once, with the keeper as without', async () => {
  await using daemon = await startKept()
  const stream = await start(daemon.url, 'cat')
  const pid = await pidOf(stream)
  await closeStdin(daemon.url, { pid })
  const { messages } = await stream.rest()
  expect(messages.at(-1)?.event.end?.status).toBe('exit status 0')
})

test('a background process writes on without SIGPIPE after the end of its command and two crashes', async () => {
  await using daemon = await startKept()
  await using dir = await makeTmpDir()
  const { url } = daemon
  const file = `${dir.path}/alive`
  const loop = `(trap '' HUP; i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo $i || exit; echo $i >${file}; sleep 0.02; done) &`
  const { end } = await shell(url, `${loop} exit 0`)
  expect(end?.status).toBe('exit status 0')
  const counted = async () => Number(await readFile(file, 'utf8').catch(() => '0'))
  for (let round = 0; round < 2; round++) {
    await crash(daemon)
    const before = await counted()
    await expect.poll(counted).toBeGreaterThan(before + 20)
  }
})

test('an end that was reported before the crash is known after it', async () => {
  await using daemon = await startKept()
  const { pid } = await shell(daemon.url, 'exit 11')
  await crash(daemon)
  const { end } = await transcript(await connect(daemon.url, { pid: pid ?? 0 }))
  expect(end?.exitCode).toBe(11)
})

test('an end is kept as long as it is without a crash', async () => {
  await using daemon = await startKept({ args: ['-keep-exits', '3'] })
  const { pid = 0 } = await shell(daemon.url, 'exit 11')
  const ended = performance.now()
  const isKept = async () => (await connect(daemon.url, { pid })).rest().then(({ end }) => end.error === undefined)
  expect(await isKept()).toBe(true)
  while (performance.now() - ended < 3_000) await crash(daemon)
  await expect.poll(isKept, { timeout: 2_000 }).toBe(false)
})

test('the output of many commands that have ended leaves a running one its window', async () => {
  await using daemon = await startKept()
  const { url } = daemon
  // A part of the memory for 100 would be a third of that.
  const stream = await start(url, 'sh', { args: ['-c', 'head -c 1000000 /dev/zero; exec sleep 1000'] })
  const pid = await pidOf(stream)
  let received = 0
  while (received < 1_000_000) {
    const { done, value } = await stream.messages.next()
    if (done) break
    received += Buffer.from(value.event.data?.stdout ?? '', 'base64').length
  }
  for (let i = 0; i < 10; i++) await Promise.all(Array.from({ length: 10 }, () => shell(url, 'echo $$')))
  await crash(daemon)
  const again = await open(url, 'process.Process/Connect', { process: { pid }, resumeFrom: { stdout: '0' } })
  for (received = 0; received < 1_000_000; ) {
    const { done, value } = await again.messages.next()
    if (done) throw new Error(JSON.stringify(value))
    received += Buffer.from(value.event.data?.stdout ?? '', 'base64').length
  }
  expect(received).toBe(1_000_000)
})

test('a command can be killed after a crash, with its session, and its deadline holds', async () => {
  await using daemon = await startKept()
  const { url } = daemon
  // No other test's processes are sleeping for so long.
  const sleep = `sleep ${1_000_000 + process.pid}`
  const pid = await pidOf(await start(url, 'sh', { args: ['-c', `${sleep} & ${sleep}`] }))
  const late = await pidOf(await start(url, 'sleep', { args: ['1000'], headers: { 'connect-timeout-ms': '3000' } }))
  await crash(daemon)
  const following = transcript(await connect(url, { pid: late }))
  const stream = await connect(url, { pid })
  expect((await kill(url, { pid })).status).toBe(200)
  expect((await transcript(stream)).end?.status).toBe('signal: killed')
  await expect.poll(async () => String((await shell(url, `pgrep -fx "${sleep}" | wc -l`)).stdout)).toBe('0\n')
  expect((await following).end?.status).toBe('signal: killed')
})

test('the start command is not started a second time, and its end is known', async () => {
  await using dir = await makeTmpDir()
  const script = `echo $$ >>${dir.path}/starts; while [ ! -e ${dir.path}/end ]; do sleep 0.05; done; exit 8`
  await using daemon = await startKept({ args: ['-start-cmd', script, '-ready-cmd', `[ -s ${dir.path}/starts ]`] })
  const starts = async () => (await readFile(`${dir.path}/starts`, 'utf8').catch(() => '')).split('\n').length - 1
  const status = async () => (await call(daemon.url, 'supervisor.Supervisor/Get', {})).body
  await expect.poll(status).toMatchObject({ status: { state: 'STATE_READY' } })
  for (let round = 0; round < 3; round++) {
    await crash(daemon)
    await expect.poll(status).toMatchObject({ status: { state: 'STATE_READY' } })
    expect(await starts()).toBe(1)
  }
  await shell(daemon.url, `touch ${dir.path}/end`)
  await expect.poll(status).toMatchObject({ status: { cause: { kind: 'KIND_EXIT', exitCode: 8 } } })
  expect(await starts()).toBe(1)
})

test('the keeper keeps no descriptor of what is over', async () => {
  await using daemon = await startKept()
  const { url } = daemon
  const held = async () => (await readdir(`/proc/${daemon.launched}/fd`)).length
  const before = await held()
  const pids: number[] = []
  for (let i = 0; i < 20; i++) pids.push(await pidOf(await start(url, 'sleep', { args: ['1000'] })))
  await expect.poll(held).toBe(before + 20 * 5)
  await crash(daemon)
  for (const pid of pids) await kill(url, { pid })
  // One record of each end, as long as ends are kept.
  await expect.poll(held).toBe(before + 20)
})

test.each([
  ['a crash', crash],
  ['an upgrade', upgrade],
] as const)(
  'D4 that a program could not be run is known after %s, with its line, and is not tried again',
  async (...each) => {
    const [, exchange] = each
    await using daemon = await startKept()
    const { url } = daemon
    const programs = [
      ['/nowhere', 127, 'no such file or directory'],
      ['/etc', 126, 'permission denied'],
    ] as const
    const begin = (file: string) => start(url, file, { tag: file, headers: { 'idempotency-key': file } })
    const pids = await Promise.all(programs.map(async ([file]) => pidOf(await begin(file))))
    const pty = { cols: 80, rows: 24 }
    const terminal = await start(url, '/nowhere', { tag: 'terminal', pty })
    await terminal.rest()
    for (const pid of pids) await call(url, 'jobs.v1.Jobs/Wait', { job: { pid } })
    await exchange(daemon)
    for (const [index, [file, code, why]] of programs.entries()) {
      const { pid, stderr, end } = await transcript(await begin(file))
      expect([pid, String(stderr), end?.exitCode]).toEqual([pids[index], `${file}: ${why}\n`, code])
      const { body } = await call(url, 'jobs.v1.Jobs/Get', { job: { key: file } })
      expect(body).toMatchObject({ job: { pid: pids[index], state: 'STATE_ENDED', exitCode: code } })
    }
    const ended = await call(url, 'jobs.v1.Jobs/Wait', { job: { tag: 'terminal' } })
    expect(Buffer.from(Object(ended.body).pty, 'base64').toString()).toBe('/nowhere: no such file or directory\n')
    await crash(daemon)
    expect((await call(url, 'jobs.v1.Jobs/Get', { job: { key: '/etc' } })).body).toMatchObject({
      job: { exitCode: 126 },
    })
  },
)
