import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { beforeEach, expect, test } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { pidOf, start, transcript } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { connect, list, sendInput } from '../process/calls.ts'
import { lockPlaces } from './places-lock.ts'
import { buildVariant, LAUNCHER, writeProgram } from './variant.ts'

lockPlaces()

const run = promisify(execFile)

beforeEach(needsNamespace)

const STORE = '/var/lib/envd/programs'
const IN_BODY = { 'x-envd-upgrade-bundle': 'body' }

const upgrade = ({ url }: Daemon, options: { headers?: Record<string, string>; body?: Buffer } = {}) =>
  sendWhole(`${url}/upgrade`, { method: 'POST', ...options })
const report = async ({ url }: Daemon) => JSON.parse((await sendWhole(`${url}/upgrade/status`)).text)
const stored = () => readdir(STORE).catch(() => [])

async function startReader({ url }: Daemon) {
  const stream = await start(url, 'sh', { args: ['-c', 'read line; echo "got $line"; exit 7'], tag: 'reader' })
  return pidOf(stream)
}

/** The daemon is the one that it was, and so is its command; nothing lies on the disk that did not before. */
async function expectNothingHappened(daemon: Daemon, pid: number, before: { pid: number; stored: string[] }) {
  expect(daemon.pid).toBe(before.pid)
  expect(await list(daemon.url)).toMatchObject([{ pid, tag: 'reader' }])
  expect((await stored()).sort()).toEqual(before.stored.sort())
  expect(await readdir('/usr/bin')).not.toContain('envd.next')
}

async function expectReaderGoesOn({ url }: Daemon, pid: number) {
  const again = await connect(url, { pid })
  await sendInput(url, { pid }, { stdin: 'end\n' })
  expect((await transcript(again)).end).toMatchObject({ exitCode: 7 })
}

const gzip = async (directory: string, ...words: string[]) => {
  const { stdout } = await run('tar', ['-C', directory, '-P', '-cz', ...words], { encoding: 'buffer', maxBuffer: 1e9 })
  return stdout
}

test('bodies that are no bundle, cut off, or lead out of their place are refused, and nothing is left of them', async () => {
  await using dir = await makeTmpDir(0o755)
  await using daemon = await startDaemon()
  const pid = await startReader(daemon)
  const before = { pid: daemon.pid, stored: await stored() }
  await mkdir(join(dir.path, 'b'))
  await writeProgram(join(dir.path, 'b'), `exec ${LAUNCHER} "$@"`)
  const good = await gzip(dir.path, 'b')
  await symlink('/etc/passwd', join(dir.path, 'b/link'))
  const bodies = {
    garbage: Buffer.from('no program at all'),
    'garbage with the beginning of gzip': Buffer.concat([Buffer.from([0x1f, 0x8b]), Buffer.alloc(5000, 7)]),
    'cut off': good.subarray(0, good.length - 40),
    'with a link': await gzip(dir.path, 'b'),
    'with ..': await gzip(dir.path, '--transform', 's,^b/envd,b/../../../../tmp/escaped,', 'b'),
    absolute: await gzip(dir.path, '--transform', 's,^b/envd,/tmp/escaped,', 'b'),
    'of zeros': await gzip('/', '--transform', 's,.*,zeros,', '/dev/null'),
  }
  for (const [what, body] of Object.entries(bodies)) {
    const answer = await upgrade(daemon, { headers: IN_BODY, body })
    expect([what, answer.status], answer.text).toEqual([what, 500])
    await expectNothingHappened(daemon, pid, before)
  }
  expect(await readdir('/tmp')).not.toContain('escaped')
  expect((await report(daemon)).state).toBe('none')
  await expectReaderGoesOn(daemon, pid)
}, 60_000)

test('a body that stalls or whose client leaves is given up, and the next one is taken', async () => {
  await using daemon = await startDaemon({ args: ['-body-stall', '1'] })
  const pid = await startReader(daemon)
  const before = { pid: daemon.pid, stored: await stored() }
  const begun = (headers: object) => {
    const sending = request(`${daemon.url}/upgrade`, { method: 'POST', headers: { ...IN_BODY, ...headers } })
    sending.on('error', () => {}).write('#!/bin/sh')
    return sending
  }
  const stalled = begun({ 'content-length': '1000' })
  const ended = new Promise((resolve) =>
    stalled.on('response', (answer) => resolve(answer.statusCode)).on('close', () => resolve(0)),
  )
  expect([0, 408, 500]).toContain(await ended)
  await expect.poll(async () => (await readdir('/usr/bin')).includes('envd.next')).toBe(false)
  const left = begun({ 'transfer-encoding': 'chunked' })
  await expect.poll(async () => (await readdir('/usr/bin')).includes('envd.next')).toBe(true)
  left.destroy()
  await expect.poll(async () => (await readdir('/usr/bin')).includes('envd.next')).toBe(false)
  await expectNothingHappened(daemon, pid, before)
  await expectReaderGoesOn(daemon, pid)
}, 30_000)

const MIB = Buffer.alloc(1024 * 1024, 'x')
/** More than a bundle may have, by one piece. */
const PIECES = 513

/** Sends so many MiB, and no end; `answered` resolves with what came, or the code of the error. */
async function sendPieces(url: string, headers: Record<string, string>) {
  const sending = request(url, { method: 'POST', headers: { ...headers, 'transfer-encoding': 'chunked' } })
  const answered = new Promise<string>((resolve) => {
    sending.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)))
    sending.on('response', async (answer) => resolve(`${answer.statusCode} ${await textOf(answer)}`))
  })
  const left = answered.then(() => {})
  for (let i = 0; i < PIECES && !sending.destroyed; i++)
    if (!sending.write(MIB)) await Promise.race([once(sending, 'drain'), left])
  return { answered }
}

test('a delivery of more than 512 MiB is refused, and an upload of as much that an upgrade meets leaves nothing', async () => {
  await using dir = await makeTmpDir()
  await using daemon = await startDaemon()
  const pid = await startReader(daemon)
  const before = { pid: daemon.pid, stored: await stored() }
  const delivery = await sendPieces(`${daemon.url}/upgrade`, IN_BODY)
  expect(await delivery.answered).toBe('500 a program has at most 536870912 bytes')
  await expectNothingHappened(daemon, pid, before)
  const target = `${daemon.url}/files?username=root&path=${encodeURIComponent(join(dir.path, 'large'))}`
  const uploading = await sendPieces(target, { 'content-type': 'application/octet-stream' })
  await expect(upgrade(daemon, { headers: IN_BODY })).rejects.toMatchObject({ code: 'ECONNRESET' })
  await expect.poll(() => report(daemon)).toMatchObject({ state: 'upgraded' })
  expect(await uploading.answered).toMatch(/^503|ECONNRESET|EPIPE/)
  expect(await readdir(dir.path)).toEqual([])
  await expectReaderGoesOn(daemon, pid)
}, 90_000)

test('a disk that is full refuses the delivery and keeps nothing of it', async () => {
  await using daemon = await startDaemon()
  const pid = await startReader(daemon)
  await mkdir(STORE, { recursive: true })
  await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', STORE])
  try {
    const before = { pid: daemon.pid, stored: [] }
    await using dir = await makeTmpDir(0o755)
    await mkdir(join(dir.path, 'b'))
    await writeProgram(join(dir.path, 'b'), `exec ${LAUNCHER} "$@"`)
    await writeFile(join(dir.path, 'b/large'), Buffer.alloc(1_000_000, 'x'))
    const answer = await upgrade(daemon, { headers: IN_BODY, body: await gzip(dir.path, 'b') })
    expect([answer.status, answer.text]).toEqual([500, expect.stringMatching(/space|ENOSPC/)])
    await expectNothingHappened(daemon, pid, before)
  } finally {
    await run('umount', [STORE])
  }
  await expectReaderGoesOn(daemon, pid)
}, 30_000)

test('a bundle that another user owns or may change is refused, and without the token nobody upgrades', async () => {
  await using dir = await makeTmpDir(0o755)
  await using daemon = await startDaemon()
  const { url } = daemon
  const pid = await startReader(daemon)
  const before = { pid: daemon.pid, stored: await stored() }
  await writeProgram(dir.path, `exec ${LAUNCHER} "$@"`)
  const toBundle = (headers = {}) => upgrade(daemon, { headers: { 'x-envd-upgrade-bundle': dir.path, ...headers } })
  await chown(join(dir.path, 'envd'), 1000, 1000)
  expect((await toBundle()).text).toContain('may be changed by another user')
  await chown(join(dir.path, 'envd'), 0, 0)
  await chmod(dir.path, 0o777)
  expect((await toBundle()).text).toContain('may be changed by another user')
  await chmod(dir.path, 0o755)
  await expectNothingHappened(daemon, pid, before)
  await expectReaderGoesOn(daemon, pid)
  expect((await sendWhole(`${url}/init`, { method: 'POST', body: '{"accessToken":"secret"}' })).status).toBe(204)
  const bodyOf = async (headers: object) => (await toBundle(headers)).status
  expect([await bodyOf({}), await bodyOf({ 'x-access-token': 'other' })]).toEqual([401, 401])
  expect(daemon.pid).toBe(before.pid)
}, 30_000)

test('a bundle that ends a moment after it serves is started again as any daemon, with nothing lost', async () => {
  await using dir = await makeTmpDir(0o755)
  await using daemon = await startDaemon({ restarts: true })
  const pid = await startReader(daemon)
  const banner = "if(process.env.ENVD_KEEPER)setTimeout(()=>process.kill(process.pid,'SIGKILL'),3000)"
  await buildVariant(dir.path, { version: '0.9.3', banner })
  const answer = upgrade(daemon, { headers: { 'x-envd-upgrade-bundle': dir.path } })
  await answer.catch(() => {})
  await expect.poll(() => daemon.stdout(), { timeout: 20_000 }).toMatch(/started again after|not upgraded/)
  expect(await list(daemon.url)).toMatchObject([{ pid, tag: 'reader' }])
  await expectReaderGoesOn(daemon, pid)
}, 60_000)

/** Whether a process runs whose arguments hold that text. */
async function runs(text: string): Promise<boolean> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')))
  return lines.some((line) => line.includes(text))
}

const GOOD_TESTS = `case $1 in -version|-self-test) exec ${LAUNCHER} "$@";; esac`

/** With a child that holds the output open. */
const HANGS = 'sleep MARK & exec sleep MARK'

// The limits are VERSION_MS, SELF_TEST_MS and READY_MS.
test.each([
  ['never says its version', HANGS, 10_000, 'not done after 10 s'],
  ['has a self-test that hangs', `case $1 in -version) exec ${LAUNCHER} "$@";; esac; ${HANGS}`, 20_000, 'after 20 s'],
  ['never becomes ready', `${GOOD_TESTS}; ${HANGS}`, 15_000, 'the other daemon does not become ready'],
])(
  'a bundle that %s is refused within its limit, and nothing of it is left',
  async (_, script, limit, why) => {
    await using dir = await makeTmpDir(0o755)
    await using daemon = await startDaemon()
    const pid = await startReader(daemon)
    const before = { pid: daemon.pid, stored: await stored() }
    const hanging = `1000.${limit}${process.pid}`
    await mkdir(join(dir.path, 'b'))
    await writeProgram(join(dir.path, 'b'), script.replaceAll('MARK', hanging))
    const asked = performance.now()
    const answering = upgrade(daemon, { headers: IN_BODY, body: await gzip(dir.path, 'b') })
    await expect.poll(() => runs(hanging), { timeout: 10_000 }).toBe(true)
    const seen = performance.now()
    // It serves as before meanwhile.
    expect(await list(daemon.url)).toMatchObject([{ pid }])
    const answer = await answering
    const answered = performance.now()
    expect([answer.status, answer.text]).toEqual([500, expect.stringContaining(why)])
    // What comes before it has limits of its own.
    expect(answered - asked).toBeGreaterThan(limit - 100)
    expect(answered - seen).toBeLessThan(limit + 5_000)
    await expectNothingHappened(daemon, pid, before)
    await expect.poll(() => runs(hanging)).toBe(false)
    await expectReaderGoesOn(daemon, pid)
  },
  60_000,
)

/** Of a helper that a deaf daemon starts. */
const HELPER = `1000.3${process.pid}`

/** It passes its self-test, which has no keeper; then it takes requests, and does nothing with them. */
const DEAF = `if(process.env.ENVD_KEEPER){require('node:child_process').spawn('sleep',['${HELPER}']);const{Server}=require('node:http');const emit=Server.prototype.emit;Server.prototype.emit=function(name,...rest){return name==='request'||emit.call(this,name,...rest)}}`

test('a bundle that takes over and never answers /health is replaced after 5 s, and nothing of it is left', async () => {
  await using dir = await makeTmpDir(0o755)
  await using daemon = await startDaemon()
  const pid = await startReader(daemon)
  const before = { stored: await stored() }
  await mkdir(join(dir.path, 'b'))
  await buildVariant(join(dir.path, 'b'), { version: '0.9.3', banner: DEAF })
  await expect(upgrade(daemon, { headers: IN_BODY, body: await gzip(dir.path, 'b') })).rejects.toMatchObject({
    code: 'ECONNRESET',
  })
  // Who asks meanwhile is broken off by its end, and asks again.
  await expect
    .poll(() => report(daemon).catch(() => undefined), { timeout: 20_000 })
    .toMatchObject({
      state: 'went_back',
    })
  const { version, reason, pauseMs } = await report(daemon)
  expect([version, reason]).toEqual(['0.9.1', expect.stringMatching(/exit code 1|signal 9/)])
  expect(pauseMs).toBeGreaterThan(3_000)
  expect(pauseMs).toBeLessThan(10_000)
  expect(await runs(HELPER)).toBe(false)
  await expect.poll(stored).toEqual(before.stored)
  expect(await readdir('/usr/bin')).not.toContain('envd.next')
  expect(await list(daemon.url)).toMatchObject([{ pid, tag: 'reader' }])
  await expectReaderGoesOn(daemon, pid)
}, 60_000)

test('the program that goes on after all stays in its place, over the next upgrade and a crash', async () => {
  await using dir = await makeTmpDir(0o755)
  await using daemon = await startDaemon({ restarts: true })
  const pid = await startReader(daemon)
  const bundle = async (name: string, banner: string) => {
    await mkdir(join(dir.path, name))
    await buildVariant(join(dir.path, name), { version: '0.9.4', banner })
    return gzip(dir.path, name)
  }
  const outcome = async (options: Parameters<typeof upgrade>[1], state: string) => {
    await upgrade(daemon, options).catch(() => {})
    await expect.poll(() => report(daemon).catch(() => undefined), { timeout: 20_000 }).toMatchObject({ state })
  }
  await outcome({ headers: IN_BODY, body: await bundle('good', '') }, 'upgraded')
  const good = await stored()
  expect(good).toHaveLength(1)
  await outcome({ headers: IN_BODY, body: await bundle('bad', DEAF) }, 'went_back')
  await expect.poll(stored).toEqual(good)
  // The same program once more, from where it is.
  await outcome({ headers: IN_BODY }, 'upgraded')
  expect(await stored()).toEqual(good)
  process.kill(daemon.pid, 'SIGKILL')
  expect(await report(daemon)).toMatchObject({ version: '0.9.4' })
  await expectReaderGoesOn(daemon, pid)
}, 60_000)
