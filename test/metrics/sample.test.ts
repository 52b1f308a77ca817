import { writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { createSampler } from '../../src/metrics/sample.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

test('E4 E5 the first sample covers the time since the start, each other one that since the sample before', async () => {
  await using dir = await makeTmpDir()
  const put = (name: string, text: string) => writeFile(`${dir.path}/${name}`, text)
  await put('meminfo', 'MemTotal: 3000 kB\nMemAvailable: 1000 kB\nCached: 512 kB\n')
  await put('cpuinfo', 'processor : 0\n')
  await put('stat', 'cpu  100 0 0 100\n')
  const sampler = createSampler({ proc: dir.path, disk: '/' })
  await sampler.take()
  await put('stat', 'cpu  125 0 0 175\n')
  expect(await sampler.take()).toMatchObject({
    cpu_count: 1,
    cpu_used_pct: 25,
    mem_total: 3_072_000,
    mem_total_mib: 2,
    mem_used: 2_048_000,
    mem_used_mib: 1,
    mem_cache: 524_288,
  })
  await put('stat', 'cpu  225 0 0 175\n')
  expect(await sampler.take()).toMatchObject({ cpu_used_pct: 100 })
  expect(await sampler.take()).toMatchObject({ cpu_used_pct: 0 })
})

test('E7 a sample fails when any source is missing or makes no sense', async () => {
  await using dir = await makeTmpDir()
  await writeFile(`${dir.path}/stat`, 'cpu  1 2 3 4\n')
  await writeFile(`${dir.path}/cpuinfo`, '')
  await expect(createSampler({ proc: dir.path, disk: '/' }).take()).rejects.toMatchObject({ code: 'ENOENT' })
  await writeFile(`${dir.path}/meminfo`, 'MemTotal: none\n')
  await expect(createSampler({ proc: dir.path, disk: '/' }).take()).rejects.toThrow('MemTotal')
  await expect(createSampler({ proc: '/proc', disk: '/no/such/dir' }).take()).rejects.toMatchObject({ code: 'ENOENT' })
})
