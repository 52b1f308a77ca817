import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createIdentity } from '../../../src/init/mmds/identity.ts'
import type { MmdsOptions } from '../../../src/init/mmds/options.ts'
import { EnvVars } from '../../../src/users/defaults.ts'
import { recordingLog } from '../../_util/recording-log.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'
import { OPTIONS } from './fake-mmds.ts'

async function makeRig() {
  const tmp = await makeTmpDir()
  const env = new EnvVars()
  const reported: MmdsOptions[] = []
  const { log, lines } = recordingLog()
  const runDir = tmp.path
  const identity = createIdentity({ env, runDir, onOptions: (options) => void reported.push(options), log })
  const dispose = () => tmp[Symbol.asyncDispose]()
  return { identity, env, reported, lines, runDir, [Symbol.asyncDispose]: dispose }
}

test('A12 the ids are in files, 0644 and without a newline, whatever the umask is', async () => {
  await using rig = await makeRig()
  const mask = process.umask(0o077)
  try {
    await rig.identity.adopt(OPTIONS)
  } finally {
    process.umask(mask)
  }
  const files = { '.E2B_SANDBOX_ID': 'i-sandbox', '.E2B_TEMPLATE_ID': 'template' }
  expect((await readdir(rig.runDir)).sort()).toEqual(Object.keys(files))
  for (const [name, text] of Object.entries(files)) {
    expect(await readFile(join(rig.runDir, name), 'utf8')).toBe(text)
    expect((await stat(join(rig.runDir, name))).mode & 0o7777).toBe(0o644)
  }
})

test('A12 a file is replaced as a whole, and only when its id is another one', async () => {
  await using rig = await makeRig()
  const inodes = async () =>
    Promise.all(['.E2B_SANDBOX_ID', '.E2B_TEMPLATE_ID'].map(async (name) => (await stat(join(rig.runDir, name))).ino))
  await rig.identity.adopt(OPTIONS)
  const [sandbox, template] = await inodes()
  await rig.identity.adopt(OPTIONS)
  expect(await inodes()).toEqual([sandbox, template])
  await rig.identity.adopt({ ...OPTIONS, instanceID: 'i-other' })
  const [other, same] = await inodes()
  expect(same).toBe(template)
  expect(other).not.toBe(sandbox)
  expect(await readFile(join(rig.runDir, '.E2B_SANDBOX_ID'), 'utf8')).toBe('i-other')
})

test('A12 of several ids at once the last one stays', async () => {
  await using rig = await makeRig()
  const ids = Array.from({ length: 20 }, (_, i) => `i-${i}`)
  await Promise.all(ids.map((instanceID) => rig.identity.adopt({ ...OPTIONS, instanceID })))
  expect(await readFile(join(rig.runDir, '.E2B_SANDBOX_ID'), 'utf8')).toBe('i-19')
  expect(rig.env.all().get('E2B_SANDBOX_ID')).toBe('i-19')
})

test('A14 A15 the ids are internal variables, at once, and take the place of a user variable of their name', async () => {
  await using rig = await makeRig()
  rig.env.replaceUser([
    ['E2B_SANDBOX_ID', 'forged'],
    ['A', '1'],
  ])
  const written = rig.identity.adopt(OPTIONS)
  const expected = { A: '1', E2B_SANDBOX_ID: 'i-sandbox', E2B_TEMPLATE_ID: 'template' }
  expect(Object.fromEntries(rig.env.all())).toEqual(expected)
  rig.env.replaceUser([
    ['E2B_TEMPLATE_ID', 'forged'],
    ['A', '1'],
  ])
  expect(Object.fromEntries(rig.env.all())).toEqual(expected)
  await written
})

test('G12 options with an address are handed on, others are not', async () => {
  await using rig = await makeRig()
  await rig.identity.adopt({ ...OPTIONS, address: '' })
  expect(rig.reported).toEqual([])
  await rig.identity.adopt(OPTIONS)
  expect(rig.reported).toEqual([OPTIONS])
})

test('A12 a directory that cannot be written is logged, and tried again with the next answer', async () => {
  await using rig = await makeRig()
  await rm(rig.runDir, { recursive: true })
  await rig.identity.adopt(OPTIONS)
  expect(rig.lines).toMatchObject([
    { level: 'error', file: '.E2B_SANDBOX_ID', errno: 'ENOENT' },
    { level: 'error', file: '.E2B_TEMPLATE_ID', errno: 'ENOENT' },
  ])
  expect(rig.env.all().get('E2B_SANDBOX_ID')).toBe('i-sandbox')
  await mkdir(rig.runDir)
  await rig.identity.adopt(OPTIONS)
  expect(await readFile(join(rig.runDir, '.E2B_TEMPLATE_ID'), 'utf8')).toBe('template')
})
