import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, unlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { breakableProxy } from './breakable-proxy.ts'
import { ctl, ctlInTerminal, LAUNCHER } from './ctl.ts'

const daemon = sharedDaemon()

interface Round {
  readonly sent: readonly string[]
  readonly removed: readonly string[]
  readonly leftOut: readonly string[]
}

/** What a sync has done. */
async function sync(...args: string[]): Promise<Round & { readonly code: number; readonly stderr: string }> {
  const { code, stdout, stderr } = await ctl(daemon.url, ['sync', '--json', ...args])
  const done = stdout.length === 0 ? { sent: [], removed: [], leftOut: [] } : (JSON.parse(stdout.toString()) as Round)
  return { ...done, code, stderr }
}

const NOTHING = { code: 0, sent: [], removed: [], leftOut: [], stderr: '' }
const differences = (a: string, b: string) => execFileSync('diff', ['-r', '--no-dereference', a, b]).toString()

async function plant(path: string) {
  await mkdir(join(path, 'src/deep'), { recursive: true })
  await mkdir(join(path, 'node_modules/x'), { recursive: true })
  await mkdir(join(path, 'empty'))
  await writeFile(join(path, 'src/run.sh'), '#!/bin/sh\n', { mode: 0o755 })
  await writeFile(join(path, 'src/deep/a b,c[d]*'), 'odd')
  await writeFile(join(path, 'src/deep/ä\n'), 'odd')
  await symlink('deep/none', join(path, 'src/link'))
  await writeFile(join(path, 'node_modules/x/index.js'), 'x')
  await utimes(join(path, 'src/run.sh'), 1, 2)
}

test('a sync sends what differs, and nothing when nothing does', async () => {
  await using dir = await makeTmpDir()
  const [here, there, back] = ['here', 'there', 'back'].map((name) => join(dir.path, name)) as [string, string, string]
  await plant(here)
  expect((await sync(here, `:${there}`)).code).toBe(0)
  expect((await sync(`:${there}`, back)).code).toBe(0)
  expect(differences(here, there) + differences(here, back)).toBe('')
  expect(await sync(here, `:${there}/`)).toMatchObject(NOTHING)
  expect(await sync(`:${there}`, back)).toMatchObject(NOTHING)
  await writeFile(join(here, 'src/run.sh'), '#!/bin/dash\n')
  await chmod(join(here, 'src/deep'), 0o700)
  await unlink(join(here, 'src/link'))
  await symlink('deep/other', join(here, 'src/link'))
  const changed = ['src/deep', 'src/link', 'src/run.sh']
  expect(await sync(here, `:${there}`)).toMatchObject({ ...NOTHING, sent: changed })
  expect(await sync(`:${there}`, back)).toMatchObject({ ...NOTHING, sent: changed })
  expect(differences(here, there) + differences(here, back)).toBe('')
  expect((await stat(join(back, 'src/deep'))).mode).toBe(0o40700)
})

test('with --delete what is not in the source goes, both ways, but for what is left out', async () => {
  await using dir = await makeTmpDir()
  const [here, there] = [join(dir.path, 'here'), join(dir.path, 'there')]
  await plant(here)
  for (const [source, destination, target] of [
    [here, `:${there}`, there],
    [`:${here}`, there, there],
  ] as const) {
    await plant(there)
    await mkdir(join(there, 'old/node_modules/y'), { recursive: true })
    await writeFile(join(there, 'old/file'), '')
    await writeFile(join(there, 'node_modules/own'), '')
    const options = ['--exclude', 'node_modules']
    expect(await sync(...options, source, destination)).toMatchObject({ removed: [] })
    expect(await readdir(join(target, 'old'))).toHaveLength(2)
    expect(await sync('--delete', ...options, source, destination)).toMatchObject({ code: 0, removed: ['old/file'] })
    expect(await readdir(join(target, 'old'))).toEqual(['node_modules'])
    expect((await readdir(join(target, 'node_modules'))).sort()).toEqual(['own', 'x'])
    expect(await sync('--delete', source, destination)).toMatchObject({ removed: ['node_modules/own', 'old'] })
    expect(differences(here, there)).toBe('')
    await rm(there, { recursive: true })
  }
})

test('a directory in the place of a file, and the other way round, needs --delete', async () => {
  await using dir = await makeTmpDir()
  const [here, there] = [join(dir.path, 'here'), join(dir.path, 'there')]
  await mkdir(join(here, 'a'), { recursive: true })
  await writeFile(join(here, 'a/x'), 'x')
  await writeFile(join(here, 'b'), 'b')
  const turn = async () => {
    await rm(there, { recursive: true, force: true })
    await mkdir(join(there, 'b/c'), { recursive: true })
    await writeFile(join(there, 'a'), 'a')
  }
  for (const [source, destination] of [
    [here, `:${there}`],
    [`:${here}`, there],
  ] as const) {
    await turn()
    expect((await sync(source, destination)).code).toBe(125)
    expect(await sync('--delete', source, destination)).toMatchObject({ code: 0 })
    expect(differences(here, there)).toBe('')
  }
})

test('with --gitignore what git would not take stays, on both sides', async () => {
  await using dir = await makeTmpDir()
  const [here, there] = [join(dir.path, 'here'), join(dir.path, 'there')]
  await plant(here)
  await mkdir(join(here, '.git'))
  await writeFile(join(here, '.gitignore'), 'node_modules/\n*.log\n')
  await writeFile(join(here, 'src/.gitignore'), '!keep.log\n')
  for (const name of ['a.log', 'src/b.log', 'src/keep.log']) await writeFile(join(here, name), '')
  await mkdir(join(there, 'node_modules'), { recursive: true })
  await writeFile(join(there, 'mine.log'), '')
  await writeFile(join(there, 'old'), '')
  expect(await sync('--gitignore', '--delete', here, `:${there}`)).toMatchObject({ code: 0, removed: ['old'] })
  expect((await readdir(there)).sort()).toEqual(['.gitignore', 'empty', 'mine.log', 'node_modules', 'src'])
  expect((await readdir(join(there, 'src'))).sort()).toEqual(['.gitignore', 'deep', 'keep.log', 'link', 'run.sh'])
})

test('what makes no sense is refused', async () => {
  await using dir = await makeTmpDir()
  for (const [args, code] of [
    [['a', 'b'], 2],
    [[':a', ':b'], 2],
    [['a', ':'], 2],
    [['--watch', ':a', 'b'], 2],
    [['--gitignore', ':a', 'b'], 2],
    [[join(dir.path, 'none'), `:${dir.path}/x`], 125],
    [[`:${dir.path}/none`, join(dir.path, 'x')], 125],
    [['--watch', join(dir.path, 'none'), `:${dir.path}/x`], 125],
  ] as const)
    expect((await sync(...args)).code, args.join(' ')).toBe(code)
  expect(await readdir(dir.path)).toEqual([])
})

/** A `sync --watch` that runs. Disposing interrupts it. */
function follow(url: string, ...args: string[]) {
  const child = spawn(LAUNCHER, ['ctl', 'sync', '--watch', '--json', ...args], {
    env: { PATH: process.env['PATH'] ?? '', ENVD_URL: url },
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const closed = new Promise<number | null>((resolve) => child.on('close', resolve))
  return {
    rounds: () =>
      stdout
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Round),
    stderr: () => stderr,
    interrupt: async () => {
      child.kill('SIGINT')
      return closed
    },
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await closed
    },
  }
}

test('--watch: changes here follow within a second, deletions with --delete', async () => {
  await using dir = await makeTmpDir()
  const [here, there] = [join(dir.path, 'here'), join(dir.path, 'there')]
  await plant(here)
  await writeFile(join(here, '.gitignore'), '*.log\n')
  await using following = follow(daemon.url, '--delete', '--gitignore', '--exclude', 'node_modules', here, `:${there}`)
  await vi.waitUntil(() => following.rounds().length === 1, { timeout: 15_000 })
  const arrives = async (name: string, content: string | undefined) => {
    const begun = performance.now()
    await vi.waitUntil(async () => (await readFile(join(there, name), 'utf8').catch(() => undefined)) === content, {
      timeout: 15_000,
      interval: 10,
    })
    return performance.now() - begun
  }
  const taken: number[] = []
  for (let n = 0; n < 5; n++) {
    writeFileSync(join(here, 'src/run.sh'), `${n}`)
    taken.push(await arrives('src/run.sh', `${n}`))
  }
  expect(Math.min(...taken)).toBeLessThan(1_000)
  mkdirSync(join(here, 'new/dir'), { recursive: true })
  writeFileSync(join(here, 'new/dir/file'), 'x')
  writeFileSync(join(here, 'new/dir/a.log'), 'x')
  await arrives('new/dir/file', 'x')
  renameSync(join(here, 'new'), join(here, 'newer'))
  await arrives('newer/dir/file', 'x')
  await arrives('new/dir/file', undefined)
  rmSync(join(here, 'src'), { recursive: true })
  await arrives('src/run.sh', undefined)
  await writeFile(join(here, '.gitignore'), '')
  await arrives('newer/dir/a.log', 'x')
  expect(await following.interrupt()).toBe(130)
  expect(following.stderr()).toBe('')
  await rm(join(here, 'node_modules'), { recursive: true })
  expect(differences(here, there)).toBe('')
}, 60_000)

test('--watch: a lost network and a crash of the daemon are waited out, and all is the same then', async () => {
  await using dir = await makeTmpDir()
  await using own = await startDaemon({ restarts: true })
  using proxy = await breakableProxy(own.port)
  const [here, there] = [join(dir.path, 'here'), join(dir.path, 'there')]
  await plant(here)
  await using following = follow(proxy.url, '--delete', here, `:${there}`)
  await vi.waitUntil(() => following.rounds().length === 1, { timeout: 15_000 })
  await proxy.cut(async () => {
    writeFileSync(join(here, 'while-away'), 'x')
    rmSync(join(here, 'src/run.sh'))
    await vi.waitUntil(() => following.stderr().includes('trying again'), { timeout: 15_000 })
    writeFileSync(join(here, 'later'), 'x')
  })
  const same = () => {
    try {
      return differences(here, there) === ''
    } catch {
      return false
    }
  }
  await vi.waitUntil(same, { timeout: 15_000 })
  process.kill(own.pid, 'SIGKILL')
  writeFileSync(join(here, 'after-crash'), 'x')
  await vi.waitUntil(same, { timeout: 15_000 })
  expect(await following.interrupt()).toBe(130)
}, 60_000)

test('--watch: what cannot be sent is said, and the rest goes on', async () => {
  await using dir = await makeTmpDir()
  const [here, there] = [join(dir.path, 'here'), join(dir.path, 'there')]
  await mkdir(here)
  await using following = follow(daemon.url, here, `:${there}`)
  await vi.waitUntil(() => following.rounds().length === 1, { timeout: 15_000 })
  mkdirSync(join(there, 'a'))
  writeFileSync(join(here, 'a'), 'x')
  await vi.waitUntil(() => /trying again/.test(following.stderr()), { timeout: 15_000 })
  rmSync(join(here, 'a'))
  writeFileSync(join(here, 'b'), 'x')
  await vi.waitUntil(() => readFile(join(there, 'b')).catch(() => undefined), { timeout: 15_000 })
}, 60_000)

test('on a terminal a sync shows how far it is, and then what it has done', async () => {
  await using dir = await makeTmpDir()
  await mkdir(join(dir.path, 'here'))
  execFileSync('sh', ['-c', `yes | head -c 40000000 >${join(dir.path, 'here/large')}`])
  using proxy = await breakableProxy(daemon.port, 10_000_000)
  const terminal = await ctlInTerminal(proxy.url, ['sync', join(dir.path, 'here'), `:${dir.path}/there`])
  await terminal.shows(/MiB, 1 files, .*\/s/)
  proxy.release()
  expect(await terminal.ended).toBe(0)
  expect(terminal.shown().split('\r\x1b[K').at(-1)).toMatch(/^large: 38\.1 MiB\r\n$/)
})
