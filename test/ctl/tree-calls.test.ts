import { execFileSync } from 'node:child_process'
import { chown, mkdir, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { ctl, ctlInTerminal } from './ctl.ts'

const daemon = commonDaemon()

async function run(...args: string[]) {
  const { code, stdout, stderr } = await ctl(daemon.url, args)
  return { code, stdout: stdout.toString(), stderr }
}

async function plant(path: string) {
  await mkdir(join(path, 'd/e'), { recursive: true })
  await writeFile(join(path, 'd/e/large'), Buffer.alloc(100_000))
  await writeFile(join(path, 'outside'), '', { mode: 0o600 })
  await symlink('../outside', join(path, 'd/link'))
  return join(path, 'd')
}

test('du shows what du(1) shows', async () => {
  await using dir = await makeTmpDir()
  const d = await plant(dir.path)
  const own = execFileSync('du', ['-B1', d], { encoding: 'utf8' })
  const { stdout } = await run('du', '-b', '-d', '5', d)
  expect(stdout.replace(/^ +/gm, '').replaceAll('  ', '\t')).toBe(own)
  expect((await run('du', d)).stdout).toMatch(/^ +\d+\.\d KiB {2}\S+\/d\n$/)
  const [usage, summary] = (await run('du', '--json', d)).stdout.trim().split('\n')
  expect(JSON.parse(usage ?? '')).toHaveProperty('usage.bytes')
  expect(JSON.parse(summary ?? '')).toHaveProperty('summary.entries', '4')
  expect(await run('du', `${d}/none`)).toMatchObject({ code: 125, stderr: expect.stringContaining('no such file') })
  expect((await run('du', '-d', 'x', d)).code).toBe(2)
})

test('chmod sets permissions, of a tree through no link', async () => {
  await using dir = await makeTmpDir()
  const d = await plant(dir.path)
  expect(await run('chmod', '-R', '-d', '750', '640', d)).toEqual({ code: 0, stdout: '', stderr: '' })
  expect((await stat(join(d, 'e'))).mode).toBe(0o40750)
  expect((await stat(join(d, 'e/large'))).mode).toBe(0o100640)
  expect((await stat(join(dir.path, 'outside'))).mode).toBe(0o100600)
  expect((await run('chmod', '9', d)).code).toBe(2)
  expect((await run('chmod', 'u+x', d)).code).toBe(2)
  expect((await run('chmod', '700', join(d, 'none'))).code).toBe(125)
})

test('chown is for root, and chmod of what is not theirs leaves it out', async (context) => {
  needsNamespace(context)
  await using dir = await makeTmpDir()
  const d = await plant(dir.path)
  await chown(d, 1000, 1000)
  expect(await run('chmod', '-R', '-u', 'user', '700', d)).toEqual({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/^envd ctl: 3 left out: (?=.*e\/large)(?=.*link)/),
  })
  expect(await run('chown', '-u', 'user', 'root', d)).toMatchObject({
    code: 125,
    stderr: expect.stringContaining('root only'),
  })
  expect((await run('chown', '-R', '-u', 'root', '1001:user', d)).code).toBe(0)
  expect(await stat(join(d, 'e/large'))).toMatchObject({ uid: 1001, gid: 1000 })
  expect((await run('chown', '-u', 'root', ':1001', d)).code).toBe(0)
  expect(await stat(d)).toMatchObject({ uid: 1001, gid: 1001 })
  for (const owner of ['', ':', 'a:b:c']) expect((await run('chown', owner, d)).code, owner).toBe(2)
})

test('du on a terminal shows how far it is, and Ctrl-C ends it', async () => {
  const terminal = await ctlInTerminal(daemon.url, ['du', '-u', 'root', '/'])
  const shown = terminal.shows(/files, .*\/s/).then(() => terminal.type('\x03'))
  const code = await terminal.ended
  if (code !== 0) {
    await shown
    expect(code).toBe(130)
  }
  shown.catch(() => {})
})
