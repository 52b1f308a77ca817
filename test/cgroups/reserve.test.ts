import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { limitMemory } from '../../src/cgroups/limit-memory.ts'
import { reserveOf } from '../../src/cgroups/reserve.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const MIB = 2 ** 20

test.each([
  { what: 'a guest of 512 MB with 110 in use', total: 480, system: 110, kept: 170 },
  { what: 'a guest of 256 MB, which keeps half of it for commands', total: 225, system: 100, kept: 112.5 },
  { what: 'a guest of 512 MB with next to nothing in use', total: 480, system: 10, kept: 96 },
  { what: 'a small machine, of which half is kept', total: 128, system: 10, kept: 64 },
  { what: 'a machine of 1 GB with 120 in use', total: 1024, system: 120, kept: 248 },
  { what: 'a large machine: what is in use, and 256', total: 16_384, system: 300, kept: 556 },
])('H2 $what: $kept MiB are kept back', ({ total, system, kept }) => {
  expect(reserveOf(total * MIB, system * MIB) / MIB).toBe(kept)
})

async function recordedGroups(use: Readonly<Record<string, { current: number; file: number }>>) {
  const directory = await makeTmpDir()
  for (const [name, { current, file }] of Object.entries(use)) {
    const group = `${directory.path}/${name}`
    await mkdir(group)
    await writeFile(`${group}/memory.current`, `${current * MIB}\n`)
    await writeFile(
      `${group}/memory.stat`,
      `anon 1\nfile ${file * MIB}\ninactive_file ${file * MIB}\nactive_file 0\nslab_reclaimable 0\n`,
    )
    for (const limit of ['memory.high', 'memory.max']) await writeFile(`${group}/${limit}`, 'max')
  }
  const limitOf = (name: string) => readFile(`${directory.path}/${name}/memory.max`, 'latin1')
  return { path: directory.path, limitOf, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() }
}

test('H2 what commands use already does not count as use of the system', async () => {
  await using groups = await recordedGroups({ user: { current: 150, file: 50 }, ptys: { current: 20, file: 0 } })
  const most = await limitMemory(groups.path, { total: 480 * MIB, used: 230 * MIB })
  expect(most / MIB).toBe(480 - (230 - 120) - 60)
  expect(await groups.limitOf('user')).toBe(String(most))
  expect(await groups.limitOf('ptys')).toBe(String(most))
})

test('H2 a cgroup that has more than the limit keeps the one it has, so that nothing is killed', async () => {
  await using groups = await recordedGroups({ user: { current: 400, file: 0 }, ptys: { current: 0, file: 0 } })
  await limitMemory(groups.path, { total: 480 * MIB, used: 450 * MIB })
  expect(await groups.limitOf('user')).toBe('max')
  expect(await groups.limitOf('ptys')).not.toBe('max')
})
