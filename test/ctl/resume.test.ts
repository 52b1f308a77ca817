import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, mkdir, open, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { breakableProxy } from './breakable-proxy.ts'
import { ctl, ctlInTerminal, LAUNCHER } from './ctl.ts'

const daemon = sharedDaemon()
const SIZE = 400_000_000
/** Of what has come; the daemon forgets the last 32 MiB at most. */
const MUCH = 100_000_000
/** So many bytes pass before a copy is held, so that it cannot be whole before a test acts on it. */
const HELD = 200_000_000

/** A large file, a directory for what comes of it, and one for the records of the client. */
async function plant(path: string) {
  const [file, target, home] = ['file', 'target', 'home'].map((name) => join(path, name)) as [string, string, string]
  execFileSync('sh', ['-c', `yes | head -c ${SIZE} >${file}`])
  for (const directory of [target, home]) await mkdir(directory)
  return { file, target, home, copy: join(target, 'copy') }
}

type Planted = Awaited<ReturnType<typeof plant>>

function begin(url: string, { home }: Planted, args: readonly string[]): ChildProcess {
  const env = { PATH: process.env['PATH'] ?? '', ENVD_URL: url, HOME: home }
  return spawn(LAUNCHER, ['ctl', 'cp', '--resume', ...args], { env, stdio: ['ignore', 'ignore', 'pipe'] })
}

/** Where what has come is kept, once there is much of it. */
async function part({ target }: Planted): Promise<string> {
  const found = await vi.waitUntil(
    async () => {
      for (const name of await readdir(target)) {
        const path = join(target, name)
        const blocks = (await stat(path).catch(() => undefined))?.blocks ?? 0
        if (blocks > MUCH / 512) return path
      }
      return undefined
    },
    { timeout: 50_000, interval: 5 },
  )
  return found
}

/** What has come is distinguished from what comes again by its first byte. */
async function mark(path: string) {
  await using file = await open(path, 'r+')
  await file.write('M', 0)
}

async function expectMarked({ file, target, copy }: Planted) {
  expect(await readdir(target)).toEqual(['copy'])
  const [got, wanted] = [await readFile(copy), await readFile(file)]
  expect(got.subarray(0, 1).toString()).toBe('M')
  expect(got.subarray(1).equals(wanted.subarray(1))).toBe(true)
}

const WAYS = ['up', 'down'] as const
const argsOf = (way: (typeof WAYS)[number], { file, copy }: Planted) =>
  way === 'up' ? [file, `:${copy}`] : [`:${file}`, copy]

test.each(WAYS)(
  '%s: a copy whose client was killed goes on with the next one',
  async (way) => {
    await using dir = await makeTmpDir()
    using proxy = await breakableProxy(daemon.port, HELD)
    const planted = await plant(dir.path)
    const child = begin(proxy.url, planted, argsOf(way, planted))
    const path = await part(planted)
    child.kill('SIGKILL')
    await once(child, 'close')
    await mark(path)
    proxy.release()
    const next = begin(proxy.url, planted, argsOf(way, planted))
    expect(await once(next, 'close')).toEqual([0, null])
    await expectMarked(planted)
    expect(await readdir(join(planted.home), { recursive: true })).not.toContainEqual(expect.stringMatching(/upload-/))
  },
  60_000,
)

test.each(WAYS)(
  '%s: a copy goes on by itself after a cut and a crash of the daemon',
  async (way) => {
    await using dir = await makeTmpDir()
    await using own = await startDaemon({ restarts: true })
    using proxy = await breakableProxy(own.port)
    const planted = await plant(dir.path)
    const child = begin(proxy.url, planted, argsOf(way, planted))
    const path = await part(planted)
    await proxy.cut(() => mark(path))
    process.kill(own.pid, 'SIGKILL')
    expect(await once(child, 'close')).toEqual([0, null])
    await expectMarked(planted)
  },
  60_000,
)

test.each(WAYS)(
  '%s: of another file nothing is taken that had come',
  async (way) => {
    await using dir = await makeTmpDir()
    using proxy = await breakableProxy(daemon.port, HELD)
    const planted = await plant(dir.path)
    const child = begin(proxy.url, planted, argsOf(way, planted))
    await part(planted)
    child.kill('SIGINT')
    expect(await once(child, 'close')).toEqual([130, null])
    await writeFile(planted.file, 'another')
    proxy.release()
    const next = begin(proxy.url, planted, argsOf(way, planted))
    expect(await once(next, 'close')).toEqual([0, null])
    expect(await readFile(planted.copy, 'utf8')).toBe('another')
    if (way === 'down') expect(await readdir(planted.target)).toEqual(['copy'])
  },
  60_000,
)

test('a file that changes while it is sent does not get its name', async () => {
  await using dir = await makeTmpDir()
  using proxy = await breakableProxy(daemon.port, HELD)
  const planted = await plant(dir.path)
  const child = begin(proxy.url, planted, argsOf('up', planted))
  let complaint = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    complaint += chunk.toString()
  })
  await part(planted)
  await appendFile(planted.file, 'x')
  proxy.release()
  expect(await once(child, 'close')).toEqual([125, null])
  expect(complaint).toContain('has changed while it was sent')
  expect(await readdir(planted.target)).not.toContain('copy')
}, 60_000)

test('small and empty files, permissions, and what cannot be resumed', async () => {
  await using dir = await makeTmpDir()
  const env = { HOME: dir.path }
  const cp = async (...args: string[]) => (await ctl(daemon.url, ['cp', '--resume', ...args], { env })).code
  for (const [name, content] of [
    ['empty', ''],
    ['small', 'small'],
  ] as const) {
    await writeFile(join(dir.path, name), content, { mode: 0o750 })
    expect(await cp(join(dir.path, name), `:${dir.path}/up/${name}`)).toBe(0)
    expect(await cp(`:${dir.path}/up/${name}`, join(dir.path, `down-${name}`))).toBe(0)
    for (const copy of [`up/${name}`, `down-${name}`]) {
      expect(await readFile(join(dir.path, copy), 'utf8')).toBe(content)
      expect((await stat(join(dir.path, copy))).mode, copy).toBe(0o100750)
    }
  }
  await mkdir(join(dir.path, 'd'))
  expect(await cp('-r', join(dir.path, 'd'), `:${dir.path}/x`)).toBe(2)
  expect(await cp(`:${dir.path}/small`, `:${dir.path}/x`)).toBe(2)
  expect(await cp(join(dir.path, 'none'), `:${dir.path}/x`)).toBe(125)
  expect(await cp(join(dir.path, 'small'), `:${dir.path}/d`)).toBe(125)
  expect(await cp(`:${dir.path}/small`, join(dir.path, 'd'))).toBe(125)
  await symlink('/nowhere/x', join(dir.path, 'led'))
  expect(await cp(`:${dir.path}/small`, join(dir.path, 'led/y'))).toBe(125)
})

test('on a terminal it shows bytes and the time left', async () => {
  await using dir = await makeTmpDir()
  const { file, copy } = await plant(dir.path)
  const terminal = await ctlInTerminal(daemon.url, ['cp', '--resume', `:${file}`, copy])
  await terminal.shows(/\[#*\.*\] .* of 381 MiB, .*left/)
  expect(await terminal.ended).toBe(0)
})
