import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, link, mkdir, readdir, readFile, readlink, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { lineOf } from '../../src/ctl/progress.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { breakableProxy } from './breakable-proxy.ts'
import { ctl, ctlInTerminal, LAUNCHER } from './ctl.ts'

const daemon = sharedDaemon()

async function cp(...args: string[]) {
  const { code, stdout, stderr } = await ctl(daemon.url, ['cp', ...args])
  return { code, stdout: stdout.toString(), stderr }
}

const DONE = { code: 0, stdout: '', stderr: '' }

/** A tree with what trees have. */
async function plant(path: string) {
  await mkdir(join(path, 'src/deep'), { recursive: true })
  await mkdir(join(path, 'node_modules/x'), { recursive: true })
  await writeFile(join(path, 'src/run.sh'), '#!/bin/sh\n', { mode: 0o755 })
  await writeFile(join(path, 'src/deep/large'), Buffer.alloc(3_000_000, 'large'))
  await link(join(path, 'src/deep/large'), join(path, 'src/again'))
  await symlink('deep/large', join(path, 'src/link'))
  await writeFile(join(path, 'node_modules/x/index.js'), 'x')
  await utimes(join(path, 'src/run.sh'), 1, 2)
}

const differences = (a: string, b: string) => execFileSync('diff', ['-r', '--no-dereference', a, b]).toString()

test('a directory goes into the sandbox and comes back as it was', async () => {
  await using dir = await makeTmpDir()
  const [here, there, back] = ['here', 'there', 'back'].map((name) => join(dir.path, name)) as [string, string, string]
  await plant(here)
  for (const options of [['-r'], ['-rz'], ['-r', '--delete']]) {
    expect(await cp(...options, here, `:${there}`)).toEqual(DONE)
    expect(await cp(...options, `:${there}`, back)).toEqual(DONE)
    expect(differences(here, there) + differences(here, back)).toBe('')
  }
  expect(await stat(join(back, 'src/run.sh'))).toMatchObject({ mode: 0o100755, mtimeMs: 2000 })
  expect((await stat(join(back, 'src/again'))).nlink).toBe(2)
  expect((await readdir(dir.path)).sort()).toEqual(['back', 'here', 'there'])
})

test('a second copy over the first replaces files and links, and no directory by what is none', async () => {
  await using dir = await makeTmpDir()
  const [here, there, back] = ['here', 'there', 'back'].map((name) => join(dir.path, name)) as [string, string, string]
  await plant(here)
  expect(await cp('-r', here, `:${there}`)).toEqual(DONE)
  expect(await cp('-r', `:${there}`, back)).toEqual(DONE)
  await writeFile(join(here, 'src/deep/large'), 'small now')
  await rm(join(here, 'src/run.sh'))
  await symlink('link', join(here, 'src/run.sh'))
  await rm(join(here, 'src/link'))
  await writeFile(join(here, 'src/link'), 'no link', { mode: 0o600 })
  for (const path of [there, back]) await writeFile(join(path, 'other'), 'stays')
  expect(await cp('-r', here, `:${there}`)).toEqual(DONE)
  expect(await cp('-r', `:${there}`, back)).toEqual(DONE)
  await writeFile(join(here, 'other'), 'stays')
  expect(differences(here, there) + differences(here, back)).toBe('')
  expect((await stat(join(back, 'src/link'))).mode).toBe(0o100600)
  await rm(join(here, 'src/deep'), { recursive: true })
  await writeFile(join(here, 'src/deep'), 'a file')
  const refused = { code: 125, stdout: '', stderr: expect.stringContaining("'src/deep': a directory stands there") }
  expect(await cp('-r', here, `:${there}`)).toMatchObject(refused)
  expect(await cp('-r', here, back)).toMatchObject({ code: 2 })
  expect(await readFile(join(there, 'src/deep/large'), 'utf8')).toBe('small now')
  expect(execFileSync('find', [dir.path, '-name', '.envd*']).toString()).toBe('')
})

test('what is excluded stays, and with --delete what is not in the source goes', async () => {
  await using dir = await makeTmpDir()
  const [here, there] = [join(dir.path, 'here'), join(dir.path, 'there')]
  await plant(here)
  await mkdir(there)
  await writeFile(join(there, 'old'), 'old')
  expect(await cp('-r', '--exclude', 'node_modules', here, `:${there}`)).toEqual(DONE)
  expect((await readdir(there)).sort()).toEqual(['old', 'src'])
  expect(await cp('-r', '--delete', '--exclude', 'src', here, `:${there}`)).toEqual(DONE)
  expect(await readdir(there)).toEqual(['node_modules'])
  expect(await cp('-r', '--delete', '--exclude', 'large', `:${here}`, there)).toEqual(DONE)
  expect((await readdir(there, { recursive: true })).sort()).not.toContain('node_modules/x/large')
  expect(await readdir(join(there, 'src/deep'))).toEqual([])
})

test('files are copied with their permissions if they are new, and into directories', async () => {
  await using dir = await makeTmpDir()
  const file = join(dir.path, 'file')
  await writeFile(file, 'text')
  await chmod(file, 0o750)
  expect(await cp(file, `:${dir.path}/a/b/`)).toEqual(DONE)
  expect(await cp(`:${file}`, join(dir.path, 'down'))).toEqual(DONE)
  expect(await cp(`:${file}`, `:${dir.path}/inside`)).toEqual(DONE)
  for (const name of ['a/b/file', 'down', 'inside']) {
    expect(await readFile(join(dir.path, name), 'utf8'), name).toBe('text')
    expect((await stat(join(dir.path, name))).mode, name).toBe(0o100750)
  }
  await writeFile(file, 'other')
  await chmod(file, 0o600)
  await cp(file, `:${dir.path}/down`)
  expect(await readFile(join(dir.path, 'down'), 'utf8')).toBe('other')
  expect((await stat(join(dir.path, 'down'))).mode).toBe(0o100750)
})

test('what makes no sense is refused, and nothing is left', async () => {
  await using dir = await makeTmpDir()
  await mkdir(join(dir.path, 'd'))
  const missing = join(dir.path, 'missing')
  expect(await cp('a', 'b')).toMatchObject({ code: 2, stderr: expect.stringContaining('begins with ":"') })
  expect(await cp(join(dir.path, 'd'), ':x')).toMatchObject({ code: 2, stderr: expect.stringContaining('needs -r') })
  expect(await cp(`:${join(dir.path, 'd')}`, 'x')).toMatchObject({ code: 2 })
  expect(await cp(missing, ':x')).toMatchObject({ code: 125, stderr: expect.stringContaining('no such file') })
  expect(await cp(`:${missing}`, 'x')).toMatchObject({ code: 125, stderr: expect.stringContaining('not found') })
  expect(await cp('/etc/passwd', ':/proc/nothing')).toMatchObject({ code: 125 })
  expect(await readdir(dir.path)).toEqual(['d'])
})

test('what is left out is named, with an exit code of its own', async () => {
  await using dir = await makeTmpDir()
  const here = join(dir.path, 'here')
  await plant(here)
  execFileSync('mkfifo', [join(here, 'src/pipe')])
  const expected = { code: 1, stderr: 'envd ctl: left out: src/pipe\n' }
  expect(await cp('-r', here, `:${dir.path}/up`)).toMatchObject(expected)
  expect(await cp('-r', `:${here}`, join(dir.path, 'down'))).toMatchObject(expected)
  expect(await cp('-r', `:${here}`, `:${dir.path}/inside`)).toMatchObject(expected)
})

/** A new file has no name before it is whole: open(2), O_TMPFILE. */
async function writesUnnamed(pid: number, directory: string): Promise<boolean> {
  const descriptors = await readdir(`/proc/${pid}/fd`)
  const paths = await Promise.all(descriptors.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')))
  return paths.some((path) => path.startsWith(`${directory}/#`))
}

test('a copy that is interrupted leaves nothing that is half', async () => {
  await using dir = await makeTmpDir()
  const file = join(dir.path, 'file')
  const there = join(dir.path, 'there')
  await mkdir(join(dir.path, 'here'))
  execFileSync('sh', ['-c', `yes | head -c 40000000 >${file}`])
  await link(file, join(dir.path, 'here/large'))
  for (const args of [
    ['-r', '--delete', join(dir.path, 'here'), `:${there}`],
    ['-r', '--delete', `:${join(dir.path, 'here')}`, there],
    ['-r', join(dir.path, 'here'), `:${there}`],
    [file, `:${there}`],
    [`:${file}`, there],
  ]) {
    using proxy = await breakableProxy(daemon.port, 1_000_000)
    const env = { PATH: process.env['PATH'] ?? '', ENVD_URL: proxy.url }
    const child = spawn(LAUNCHER, ['ctl', 'cp', ...args], { env, stdio: 'ignore' })
    const begun = async () => (await readdir(dir.path)).length > 2 || (await writesUnnamed(daemon.pid, dir.path))
    await expect.poll(begun, { timeout: 15_000 }).toBe(true)
    child.kill('SIGINT')
    expect(await once(child, 'close'), args.join(' ')).toEqual([130, null])
    proxy.release()
    const left = async () =>
      (await readdir(dir.path, { recursive: true })).filter(
        (name) => !['here', 'here/large', 'file', 'there'].includes(name),
      )
    await expect.poll(left, { timeout: 15_000 }).toEqual([])
    await expect.poll(() => writesUnnamed(daemon.pid, dir.path), { timeout: 15_000 }).toBe(false)
    execFileSync('rm', ['-rf', there])
  }
}, 60_000)

test('on a terminal a copy shows how far it is, and takes that away', async () => {
  await using dir = await makeTmpDir()
  await mkdir(join(dir.path, 'here'))
  execFileSync('sh', ['-c', `yes | head -c 40000000 >${join(dir.path, 'here/large')}`])
  using proxy = await breakableProxy(daemon.port, 10_000_000)
  const terminal = await ctlInTerminal(proxy.url, ['cp', '-r', join(dir.path, 'here'), `:${dir.path}/there`])
  await terminal.shows(/\[#+\.*\] .* of 38\.1 MiB, .*\/s/)
  terminal.type('\x03')
  expect(await terminal.ended).toBe(130)
  expect(terminal.shown().replace('^C', '').endsWith('\r\x1b[K')).toBe(true)
})

test('the line says bytes, files, speed and the time left', () => {
  expect(lineOf('a', { bytes: 1024 * 1024, files: 3 }, undefined, 2)).toBe('1.0 MiB, 3 files, 512 KiB/s  a')
  expect(lineOf('a', { bytes: 512, files: 1 }, { bytes: 1024, files: 10 }, 70)).toBe(
    '[#####.....] 512 B of 1.0 KiB, 1 of 10 files, 7 B/s, 1:10 left  a',
  )
  expect(lineOf('a', { bytes: 0, files: 0 }, { bytes: 0, files: 0 }, 0)).toContain('0:00 left')
})
