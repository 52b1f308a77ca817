import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import type { Daemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { needsRoot } from '../_util/namespace.ts'
import { call, pidOf, shell, start, transcript } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { closeStdin, connect, list } from '../process/calls.ts'
import { crash, startKept } from './crash.ts'

const KILLER = fileURLToPath(new URL('./fixtures/killer.c', import.meta.url))
/** By hand: ENVD_START_ROUNDS=100 */
const ROUNDS = Number(process.env['ENVD_START_ROUNDS'] ?? 6)

const status = async ({ url }: Daemon) => (await call(url, 'supervisor.Supervisor/Get', {})).body
const linesOf = async (file: string) => (await readFile(file, 'utf8').catch(() => '')).split('\n').slice(0, -1)
const healthy = async ({ url }: Daemon) => expect((await sendWhole(`${url}/health`)).status).toBe(204)

/** Compiles the killer into a directory. */
async function makeKiller(directory: string): Promise<string> {
  const program = join(directory, 'killer')
  await promisify(execFile)('cc', ['-O1', '-o', program, KILLER])
  return program
}

test('a command whose first act is to kill the daemon runs once, and a start that is repeated with its key finds it', async (context) => {
  needsRoot(context)
  await using dir = await makeTmpDir(0o755)
  const cmd = await makeKiller(dir.path)
  await using daemon = await startKept()
  const { url } = daemon
  for (let round = 0; round < ROUNDS; round++) {
    const file = join(dir.path, `starts-${round}`)
    const options = { args: [file], headers: { 'idempotency-key': `round-${round}` }, stdin: true }
    await expect(start(url, cmd, options).then((stream) => stream.rest())).rejects.toThrow()
    const again = await start(url, cmd, options)
    const pid = await pidOf(again)
    await closeStdin(url, { pid })
    const { messages } = await again.rest()
    const text = messages.map(({ event }) => Buffer.from(event.data?.stdout ?? '', 'base64')).join('')
    expect([text, messages.at(-1)?.event.end?.status]).toEqual(['runs\n', 'exit status 7'])
    expect(await linesOf(file)).toEqual([String(pid)])
  }
  expect(await list(url)).toEqual([])
}, 120_000)

test('a command without a key that kills the daemon at once is listed by the next one, with its output and its end', async (context) => {
  needsRoot(context)
  await using dir = await makeTmpDir(0o755)
  const cmd = await makeKiller(dir.path)
  await using daemon = await startKept()
  const { url } = daemon
  const file = join(dir.path, 'starts')
  await expect(start(url, cmd, { args: [file], tag: 'mine' }).then((stream) => stream.rest())).rejects.toThrow()
  await healthy(daemon)
  expect(await list(url)).toMatchObject([{ tag: 'mine' }])
  await closeStdin(url, { tag: 'mine' })
  const { stdout, end } = await transcript(await connect(url, { tag: 'mine' }))
  expect([String(stdout), end?.status]).toEqual(['runs\n', 'exit status 7'])
})

test('a program that cannot be run leaves nothing with the keeper, whoever asks afterwards', async () => {
  await using daemon = await startKept()
  const { url } = daemon
  await (await start(url, '/nowhere/at-all', { headers: { 'idempotency-key': 'missing' } })).rest()
  await crash(daemon)
  expect(await list(url)).toEqual([])
})

test('a start command that kills the daemon with its first act is never started a second time', async (context) => {
  needsRoot(context)
  await using dir = await makeTmpDir(0o755)
  const killer = await makeKiller(dir.path)
  const file = join(dir.path, 'starts')
  await using daemon = await startKept({ args: ['-start-cmd', `exec ${killer} ${file}`, '-ready-cmd', 'true'] })
  await expect.poll(() => linesOf(file)).toHaveLength(1)
  for (let round = 1; round <= ROUNDS; round++) {
    await expect.poll(() => status(daemon)).toMatchObject({ status: { state: 'STATE_READY' } })
    await crash(daemon)
    await expect.poll(() => status(daemon)).toMatchObject({ status: { state: 'STATE_READY' } })
    const starts = await linesOf(file)
    expect(starts).toHaveLength(round)
    expect((await list(daemon.url)).map(({ pid }) => String(pid))).toEqual([starts.at(-1)])
    await call(daemon.url, 'supervisor.Supervisor/Stop', {})
    await call(daemon.url, 'supervisor.Supervisor/Start', {}).catch(() => {})
    // By then it has killed the daemon.
    await expect.poll(() => linesOf(file)).toHaveLength(round + 1)
    await healthy(daemon)
  }
}, 120_000)

test('a start command that ended while there was no daemon has ended with its status, and is treated by its restart mode', async () => {
  await using dir = await makeTmpDir()
  const script = `echo $$ >>${dir.path}/starts; while [ ! -e ${dir.path}/end ]; do sleep 0.05; done; exit 8`
  await using daemon = await startKept({ args: ['-start-cmd', script, '-ready-cmd', `[ -s ${dir.path}/starts ]`] })
  await expect.poll(() => status(daemon)).toMatchObject({ status: { state: 'STATE_READY' } })
  const [pid] = await linesOf(join(dir.path, 'starts'))
  process.kill(daemon.pid, 'SIGSTOP')
  await promisify(execFile)('touch', [join(dir.path, 'end')])
  await expect.poll(() => readFile(`/proc/${pid}/stat`, 'latin1')).toContain(') Z')
  await crash(daemon)
  await expect
    .poll(() => status(daemon))
    .toMatchObject({ status: { state: 'STATE_FAILED', cause: { kind: 'KIND_EXIT', exitCode: 8 } } })
  expect(await linesOf(join(dir.path, 'starts'))).toHaveLength(1)
})

test.each([
  ['exit 9', 'STATE_FAILED', { kind: 'KIND_EXIT', exitCode: 9 }],
  ['echo out; exit 0', 'STATE_STOPPED', { kind: 'KIND_EXIT' }],
])('one that ended before a crash, by "%s", is not started again by it', async (end, state, cause) => {
  await using dir = await makeTmpDir()
  const script = `echo $$ >>${dir.path}/starts; while [ ! -e ${dir.path}/end ]; do sleep 0.05; done; ${end}`
  const ready = `[ -s ${dir.path}/starts ] && [ ! -e ${dir.path}/end ]`
  await using daemon = await startKept({ args: ['-start-cmd', script, '-ready-cmd', ready] })
  await expect.poll(() => status(daemon)).toMatchObject({ status: { state: 'STATE_READY' } })
  await shell(daemon.url, `touch ${dir.path}/end`)
  await expect.poll(() => status(daemon)).toMatchObject({ status: { state, cause } })
  const before = await status(daemon)
  for (let round = 0; round < 2; round++) {
    await crash(daemon)
    await expect.poll(() => status(daemon)).toMatchObject({ status: { state, cause } })
  }
  expect((await status(daemon)) as { status: object }).toMatchObject({
    status: { reason: (before as { status: { reason: string } }).status.reason },
  })
  expect(await linesOf(join(dir.path, 'starts'))).toHaveLength(1)
  expect((await call(daemon.url, 'supervisor.Supervisor/Start', {})).status).toBe(200)
  await expect.poll(() => linesOf(join(dir.path, 'starts'))).toHaveLength(2)
})

test('one that was stopped on request stays so, and one that a crash met while it was being stopped ends', async () => {
  await using dir = await makeTmpDir()
  const script = `trap 'touch ${dir.path}/asked' TERM; echo $$ >>${dir.path}/starts; while [ ! -e ${dir.path}/end ]; do sleep 0.05; done`
  await using daemon = await startKept({ args: ['-start-cmd', script, '-ready-cmd', `[ -s ${dir.path}/starts ]`] })
  await expect.poll(() => status(daemon)).toMatchObject({ status: { state: 'STATE_READY' } })
  const stopping = call(daemon.url, 'supervisor.Supervisor/Stop', {}).catch(() => {})
  await expect.poll(() => readFile(join(dir.path, 'asked')).catch(() => undefined)).toBeDefined()
  await crash(daemon)
  await stopping
  await promisify(execFile)('touch', [join(dir.path, 'end')])
  for (let round = 0; round < 2; round++) {
    await expect
      .poll(() => status(daemon), { timeout: 15_000 })
      .toMatchObject({ status: { state: 'STATE_STOPPED', cause: { kind: 'KIND_REQUESTED' } } })
    await crash(daemon)
  }
  expect(await linesOf(join(dir.path, 'starts'))).toHaveLength(1)
})
