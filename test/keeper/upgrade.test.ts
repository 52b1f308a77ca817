import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, stat } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeEach, expect, test } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { pidOf, shell, start, transcript } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { ctl } from '../ctl/ctl.ts'
import { connect, list, sendInput } from '../process/calls.ts'
import { outputUntil } from '../process/following.ts'
import { lockPlaces } from './places-lock.ts'
import { buildVariant, LAUNCHER, writeProgram } from './variant.ts'

lockPlaces()

const run = promisify(execFile)

beforeEach(needsNamespace)

const upgrade = ({ url }: Daemon, options: { headers?: Record<string, string>; body?: Buffer } = {}) =>
  sendWhole(`${url}/upgrade`, { method: 'POST', ...options })
const toBundle = (daemon: Daemon, path: string) => upgrade(daemon, { headers: { 'x-envd-upgrade-bundle': path } })
const report = async ({ url }: Daemon) => JSON.parse((await sendWhole(`${url}/upgrade/status`)).text)
const finished = async (daemon: Daemon) => {
  await expect.poll(() => report(daemon)).not.toMatchObject({ state: 'under_way' })
  return report(daemon)
}

/** A command that answers each line, and what it is at. */
async function startReader({ url }: Daemon) {
  const script = 'while read line; do echo "got $line"; [ "$line" = end ] && exit 7; done; exit 9'
  const stream = await start(url, 'sh', { args: ['-c', script], tag: 'reader' })
  const pid = await pidOf(stream)
  await sendInput(url, { pid }, { stdin: 'one\n' })
  await outputUntil(stream, 'got one\n')
  return { stream, pid }
}

async function expectReaderGoesOn({ url }: Daemon, pid: number) {
  expect(await list(url)).toMatchObject([{ pid, tag: 'reader' }])
  const again = await connect(url, { pid })
  await sendInput(url, { pid }, { stdin: 'end\n' })
  const { end } = await transcript(again)
  expect(end).toMatchObject({ exitCode: 7, status: 'exit status 7' })
}

test('I3 I8 I9 I13 without a body the same program takes over: no answer, commands, ends, token and defaults stay', async () => {
  await using daemon = await startDaemon()
  const { url, pid: before } = daemon
  const headers = { 'x-access-token': 'secret' }
  const body = JSON.stringify({ accessToken: 'secret', envVars: { COLOUR: 'red' } })
  expect((await sendWhole(`${url}/init`, { method: 'POST', body })).status).toBe(204)
  expect((await upgrade(daemon)).status).toBe(401)
  const stream = await start(url, 'sh', { args: ['-c', 'read line; echo "$COLOUR $line"; exit 3'], headers })
  const pid = await pidOf(stream)
  const over = await shell(url, 'exit 5', { headers })
  await expect(upgrade(daemon, { headers })).rejects.toMatchObject({ code: 'ECONNRESET' })
  const { end: broken } = await stream.rest()
  expect(broken.error).toMatchObject({ code: 'unavailable', message: expect.stringContaining('connect again') })
  expect((await sendWhole(`${url}/upgrade/status`)).status).toBe(401)
  await expect.poll(async () => (await sendWhole(`${url}/upgrade/status`, { headers })).text).toContain('"upgraded"')
  expect(daemon.pid).not.toBe(before)
  const again = await connect(url, { pid }, { headers })
  await sendInput(url, { pid }, { stdin: 'on\n' }, { headers })
  const { stdout, end } = await transcript(again)
  expect([String(stdout), end?.status]).toEqual(['red on\n', 'exit status 3'])
  const late = await transcript(await connect(url, { pid: over.pid ?? 0 }, { headers }))
  expect(late.end?.exitCode).toBe(5)
})

test('another version takes over, and the first one again, with the same command; who calls meanwhile waits', async () => {
  await using dir = await makeTmpDir(0o755)
  await using daemon = await startDaemon({ restarts: true })
  const { url } = daemon
  await buildVariant(dir.path, { version: '0.9.2' })
  const { pid } = await startReader(daemon)
  await using back = await makeTmpDir(0o755)
  await writeProgram(back.path, `exec ${LAUNCHER} "$@"`)
  for (const [path, version] of [
    [dir.path, '0.9.2'],
    [back.path, '0.9.1'],
  ] as const) {
    let over = false
    const asking = (async () => {
      for (; !over; ) expect((await sendWhole(`${url}/health`, { headers: { connection: 'close' } })).status).toBe(204)
    })()
    await expect(toBundle(daemon, path)).rejects.toMatchObject({ code: 'ECONNRESET' })
    const done = await finished(daemon)
    over = true
    await asking
    expect(done).toMatchObject({ version, state: 'upgraded', pauseMs: expect.any(Number) })
    expect(done.pauseMs).toBeGreaterThanOrEqual(0)
    // A crash starts the same version again.
    process.kill(daemon.pid, 'SIGKILL')
    expect((await report(daemon)).version).toBe(version)
  }
  await expectReaderGoesOn(daemon, pid)
  await daemon.stop()
}, 60_000)

test('I8 what does not pass is refused with 500, and the daemon goes on as it was', async () => {
  await using dir = await makeTmpDir(0o755)
  await using daemon = await startDaemon()
  const { pid: before } = daemon
  const { stream, pid } = await startReader(daemon)
  const refused = async (script: string | undefined, problem: string) => {
    if (script !== undefined) await writeProgram(dir.path, script)
    const answer = await toBundle(daemon, dir.path)
    expect([answer.status, answer.text]).toEqual([500, expect.stringContaining(problem)])
  }
  await refused(undefined, 'is no bundle')
  await refused('echo nonsense', 'fails with -version: nonsense')
  await refused('exit 1', 'fails with -version')
  await refused('[ "$1" = -version ] && echo 1.0.0', 'fails with -self-test')
  await refused(`case $1 in -*test) exit 3;; esac; exec ${LAUNCHER} "$@"`, 'fails with -self-test')
  await refused(`case $1 in -version|-self-test) exec ${LAUNCHER} "$@";; esac; exit 7`, 'ended with exit code 7')
  await refused(`case $1 in -version|-self-test) exec ${LAUNCHER} "$@";; esac; kill -9 $$`, 'ended by signal 9')
  await chmod(join(dir.path, 'envd'), 0o777)
  await refused(undefined, 'may be changed by another user')
  await writeProgram(dir.path, 'exit 1')
  await run('ln', ['-s', '/bin/sh', join(dir.path, 'link')])
  await refused(undefined, 'is a symbolic link')
  expect(daemon.pid).toBe(before)
  expect(await report(daemon)).toMatchObject({ state: 'none' })
  stream.close()
  await expectReaderGoesOn(daemon, pid)
}, 60_000)

test.each([
  ['ends', "if(process.env.ENVD_KEEPER)setTimeout(()=>{process.kill(process.pid,'SIGKILL')},1)", 'by signal 9'],
  ['hangs', 'for(;;);', 'by signal 9'],
])(
  'one that takes over and %s before it listens is replaced by the one before it, with nothing lost',
  async (_, code, why) => {
    await using dir = await makeTmpDir(0o755)
    await using daemon = await startDaemon()
    // When it has what is kept, and nothing else knows.
    const banner = `if(process.env.ENVD_KEEPER){const p=Promise.withResolvers;Promise.withResolvers=function(){const r=p.call(Promise);const d=r.resolve;r.resolve=(v)=>{if(v&&v.deposits){${code}}d(v)};return r}}`
    await buildVariant(dir.path, { version: '0.9.3', banner })
    const { pid } = await startReader(daemon)
    await expect(toBundle(daemon, dir.path)).rejects.toMatchObject({ code: 'ECONNRESET' })
    const done = await finished(daemon)
    expect(done).toMatchObject({ version: '0.9.1', state: 'went_back', reason: expect.stringContaining(why) })
    await expectReaderGoesOn(daemon, pid)
  },
  60_000,
)

test('what is of a newer version is refused before anything happens, and what is of an older one is read', async () => {
  await using dir = await makeTmpDir(0o755)
  await using back = await makeTmpDir(0o755)
  await using daemon = await startDaemon()
  await buildVariant(dir.path, { version: '0.9.2', stateVersion: 2 })
  await writeProgram(back.path, `exec ${LAUNCHER} "$@"`)
  const { pid } = await startReader(daemon)
  await expect(toBundle(daemon, dir.path)).rejects.toMatchObject({ code: 'ECONNRESET' })
  expect(await finished(daemon)).toMatchObject({ version: '0.9.2', state: 'upgraded' })
  const answer = await toBundle(daemon, back.path)
  expect([answer.status, answer.text]).toEqual([
    500,
    'it takes over from daemons of state version 1, and this one has 2',
  ])
  expect(await finished(daemon)).toMatchObject({ version: '0.9.2' })
  await expectReaderGoesOn(daemon, pid)
}, 60_000)

test('envd ctl upgrade takes a directory and an archive, says what came of it, and passes refusals on', async () => {
  await using dir = await makeTmpDir(0o755)
  await using daemon = await startDaemon()
  const text = async (...words: string[]) => {
    const { code, stdout, stderr } = await ctl(daemon.url, ['upgrade', ...words])
    return `${code}: ${stdout}${stderr}`
  }
  expect(await text()).toMatch(/^0: 0\.9\.1 \([0-9a-f]+\) runs, and was not upgraded\n$/)
  await mkdir(join(dir.path, 'new'))
  await writeProgram(join(dir.path, 'new'), 'echo 1; exit 1')
  expect(await text(join(dir.path, 'new'))).toBe('125: envd ctl: the new program fails with -version: 1\n')
  await writeProgram(join(dir.path, 'new'), `exec ${LAUNCHER} "$@"`)
  expect(await text(join(dir.path, 'new'))).toMatch(/^0: upgraded to 0\.9\.1 .*, in \d+ ms\n$/)
  const archive = join(dir.path, 'new.tar.gz')
  await run('tar', ['-C', dir.path, '-czf', archive, 'new'])
  expect(await text(archive)).toMatch(/^0: upgraded to/)
  expect(await text('--again')).toMatch(/^0: upgraded to/)
}, 60_000)

/** Where what was delivered runs from. */
const STORE = '/var/lib/envd/programs'

test('A13 I3 a body is a program or a bundle, which is checked, run from a place of its own and removed by the next', async () => {
  await using dir = await makeTmpDir(0o755)
  await using daemon = await startDaemon()
  const { pid } = await startReader(daemon)
  await mkdir(join(dir.path, 'envd-linux'))
  await writeProgram(join(dir.path, 'envd-linux'), `exec ${LAUNCHER} "$@"`)
  await run('tar', ['-C', dir.path, '-czf', join(dir.path, 'bundle.tar.gz'), 'envd-linux'])
  const archive = await readFile(join(dir.path, 'bundle.tar.gz'))
  const program = await readFile(join(dir.path, 'envd-linux/envd'))
  const digest = createHash('sha256').update(archive).digest('hex')
  const headers = { 'x-envd-upgrade-bundle': 'body' }
  const digestHeader = (value: string) => ({ headers: { ...headers, 'x-envd-upgrade-sha256': value } })
  const malformed = await upgrade(daemon, { ...digestHeader('ABC'), body: archive })
  expect([malformed.status, malformed.text]).toEqual([400, 'malformed upgrade digest'])
  const wrong = await upgrade(daemon, { ...digestHeader(digest.replace(/./g, '0')), body: archive })
  expect([wrong.status, wrong.text]).toEqual([500, 'the body has another SHA-256'])
  await expect(upgrade(daemon, { ...digestHeader(digest), body: archive })).rejects.toMatchObject({
    code: 'ECONNRESET',
  })
  expect(await finished(daemon)).toMatchObject({ state: 'upgraded' })
  const [first] = await readdir(STORE)
  expect(await readdir(join(STORE, String(first)))).toEqual(['envd'])
  expect((await sendWhole(`${daemon.url}/init`, { method: 'POST', body: '{}' })).status).toBe(204)
  await expect(
    upgrade(daemon, { headers: { 'x-envd-upgrade-bin': '/usr/bin/envd.next' }, body: program }),
  ).rejects.toMatchObject({ code: 'ECONNRESET' })
  expect(await finished(daemon)).toMatchObject({ state: 'upgraded' })
  expect((await stat('/usr/bin/envd.next')).mode & 0o777).toBe(0o755)
  await expectReaderGoesOn(daemon, pid)
}, 60_000)

test('a delivery that is refused leaves nothing, and two at once are not mixed', async () => {
  await using daemon = await startDaemon()
  expect((await sendWhole(`${daemon.url}/init`, { method: 'POST', body: '{}' })).status).toBe(204)
  const before = await readdir(STORE).catch(() => [])
  const useless = Buffer.from('#!/bin/sh\nexit 1\n')
  expect((await upgrade(daemon, { body: useless })).status).toBe(500)
  expect(await readdir(STORE)).toEqual(before)
  const headers = { 'content-length': '10' }
  const slow = request(`${daemon.url}/upgrade`, { method: 'POST', headers }).on('error', () => {})
  slow.write('#!/bin')
  await expect.poll(() => readFile('/usr/bin/envd.next', 'utf8').catch(() => '')).toBe('#!/bin')
  const second = await upgrade(daemon, { body: useless })
  expect([second.status, second.text]).toEqual([500, 'another upgrade is under way'])
  expect(await readFile('/usr/bin/envd.next', 'utf8')).toBe('#!/bin')
  slow.destroy()
  await expect.poll(async () => (await upgrade(daemon, { body: useless })).text).not.toContain('under way')
})

test('an upgrade by a body leaves the records of unfinished uploads', async () => {
  // The default, of which other tests have one of their own.
  await using daemon = await startDaemon({ args: ['-upload-dir', '/var/lib/envd/uploads'] })
  await using dir = await makeTmpDir()
  const tus = { 'tus-resumable': '1.0.0' }
  const metadata = `filename ${Buffer.from('file').toString('base64')}`
  const path = encodeURIComponent(join(dir.path, 'file'))
  const created = await sendWhole(`${daemon.url}/uploads?path=${path}`, {
    method: 'POST',
    headers: { ...tus, 'upload-length': '5', 'upload-metadata': metadata },
  })
  expect(created.status, created.text).toBe(201)
  const upload = new URL(created.headers['location'] ?? '', daemon.url).href
  await writeProgram(dir.path, `exec ${LAUNCHER} "$@"`)
  const body = await readFile(join(dir.path, 'envd'))
  const headers = { 'x-envd-upgrade-bundle': 'body' }
  await expect(upgrade(daemon, { headers, body })).rejects.toMatchObject({ code: 'ECONNRESET' })
  expect(await finished(daemon)).toMatchObject({ state: 'upgraded' })
  // What that one has removed is seen by the next, which reads all records anew.
  expect((await sendWhole(`${daemon.url}/init`, { method: 'POST', body: '{}' })).status).toBe(204)
  await expect(upgrade(daemon)).rejects.toMatchObject({ code: 'ECONNRESET' })
  expect(await finished(daemon)).toMatchObject({ state: 'upgraded' })
  const { status, headers: found } = await sendWhole(upload, { method: 'HEAD', headers: tus })
  expect([status, found['upload-offset']]).toEqual([200, '0'])
})
