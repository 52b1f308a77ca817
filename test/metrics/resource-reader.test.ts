import { cp, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { openResourceReader, type Readings } from '../../src/metrics/resource-reader.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const MIB = 2 ** 20
const fixtures = fileURLToPath(new URL('fixtures', import.meta.url))

function sourcesAt(root: string) {
  return { proc: `${root}/proc`, root, disk: '/' }
}

/** What is read once from a machine like that of a fixture: 4 CPUs, 8 GiB. */
async function readOnce(fixture: string): Promise<Readings> {
  const resources = openResourceReader(sourcesAt(`${fixtures}/${fixture}`))
  try {
    return await resources.read()
  } finally {
    await resources.close()
  }
}

const HOST_CPU = { cpuCount: 4, cpuLimit: 4, cpuSeconds: 16.8, cpuGroup: undefined }
const HOST_MEMORY = {
  memory: { total: 8192 * MIB, used: 2048 * MIB, cache: 4352 * MIB, oomKills: 7 },
  memoryGroup: undefined,
}

test('E8 a container with a cgroup v2 gets its own limits and usage', async () => {
  const group = `${fixtures}/v2/sys/fs/cgroup`
  expect(await readOnce('v2')).toMatchObject({
    cpuCount: 2,
    cpuLimit: 1.5,
    cpuSeconds: 12.5,
    cpuGroup: group,
    memory: { total: 512 * MIB, used: 190 * MIB, cache: 130 * MIB, oomKills: 2 },
    memoryGroup: group,
  })
})

test('E8 a container with cgroups of version 1 gets its own limits and usage', async () => {
  expect(await readOnce('v1')).toMatchObject({
    cpuCount: 1,
    cpuLimit: 0.5,
    cpuSeconds: 7.25,
    cpuGroup: `${fixtures}/v1/sys/fs/cgroup/cpu,cpuacct`,
    memory: { total: 256 * MIB, used: 120 * MIB, cache: 90 * MIB, oomKills: 3 },
    memoryGroup: `${fixtures}/v1/sys/fs/cgroup/memory`,
  })
})

test('transfers of disks are those of the machine, also in a cgroup', async () => {
  for (const fixture of ['host', 'v2'])
    expect((await readOnce(fixture)).io).toEqual({ read: 3 * 1024, written: 5 * 1024 })
})

test('E3 E5 E8 without a limit, or with one above what the machine has, the figures are those of the machine', async () => {
  expect(await readOnce('unlimited')).toMatchObject({ ...HOST_CPU, ...HOST_MEMORY })
})

test('E8 of nested cgroups the narrowest counts, for CPU and memory each', async () => {
  const pod = `${fixtures}/nested/sys/fs/c group/pod one`
  expect(await readOnce('nested')).toMatchObject({
    cpuCount: 2,
    cpuLimit: 2,
    cpuSeconds: 90,
    cpuGroup: pod,
    memory: { total: 512 * MIB, used: 290 * MIB, oomKills: 1 },
    memoryGroup: `${pod}/container`,
  })
})

test('E8 with both versions mounted, the one that has the controller counts, also from further out', async () => {
  expect(await readOnce('hybrid')).toMatchObject({
    cpuCount: 3,
    cpuLimit: 3,
    cpuSeconds: 4,
    cpuGroup: `${fixtures}/hybrid/sys/fs/cgroup/cpuacct/run`,
    memory: { total: 2048 * MIB, used: 120 * MIB, cache: 90 * MIB },
    memoryGroup: `${fixtures}/hybrid/sys/fs/cgroup/memory/run`,
  })
})

test('load, processes and the memory of the daemon are read beside', async () => {
  expect(await readOnce('v2')).toMatchObject({ load: [0.5, 1.25, 2], processes: 2, resident: 64 * MIB })
})

test('a limit that changes, or goes with its cgroup, is noticed within half a minute of samples', async () => {
  await using dir = await makeTmpDir()
  for (const name of ['host', 'v2'])
    await cp(`${fixtures}/${name}`, `${dir.path}/${name}`, { recursive: true, verbatimSymlinks: true })
  const root = `${dir.path}/v2`
  const resources = openResourceReader(sourcesAt(root))
  const afterLook = async () => {
    for (let reading = 0; reading < 15; reading++) await resources.read()
    return resources.read()
  }
  try {
    expect(await resources.read()).toMatchObject({ cpuLimit: 1.5, memory: { total: 512 * MIB } })
    await writeFile(`${root}/sys/fs/cgroup/memory.max`, `${1024 * MIB}\n`)
    await writeFile(`${root}/sys/fs/cgroup/cpu.max`, '50000 100000\n')
    expect(await afterLook()).toMatchObject({ cpuLimit: 0.5, memory: { total: 1024 * MIB } })
    await rm(`${root}/sys`, { recursive: true })
    expect(await afterLook()).toMatchObject({ ...HOST_CPU, ...HOST_MEMORY })
  } finally {
    await resources.close()
  }
})

test('E3 cpuinfo is read again when CPUs come or go', async () => {
  await using dir = await makeTmpDir()
  const put = (name: string, text: string) => writeFile(`${dir.path}/${name}`, text)
  await put('meminfo', 'MemTotal: 3000 kB\nMemAvailable: 1000 kB\n')
  await put('stat', 'cpu  1 2 3 4\ncpu0 1 2 3 4\n')
  await put('cpuinfo', 'processor : 0\n')
  const resources = openResourceReader({ proc: dir.path, root: '', disk: '/' })
  try {
    expect(await resources.read()).toMatchObject({ cpuCount: 1 })
    await put('cpuinfo', 'processor : 0\nprocessor : 1\n')
    await put('stat', 'cpu  1 2 3 4\ncpu0 1 2 3 4\ncpu1 1 2 3 4\n')
    expect(await resources.read()).toMatchObject({ cpuCount: 2 })
  } finally {
    await resources.close()
  }
})

test('E7 a reading fails when any source is missing or makes no sense, and works again when it is back', async () => {
  await using dir = await makeTmpDir()
  const put = (name: string, text: string) => writeFile(`${dir.path}/${name}`, text)
  const resources = openResourceReader({ proc: dir.path, root: '', disk: '/' })
  try {
    await put('stat', 'cpu  1 2 3 4\n')
    await put('cpuinfo', '')
    await expect(resources.read()).rejects.toMatchObject({ code: 'ENOENT' })
    await put('meminfo', 'MemTotal: none\n')
    await expect(resources.read()).rejects.toThrow('MemTotal')
    await put('meminfo', 'MemTotal: 3000 kB\n')
    expect(await resources.read()).toMatchObject({ memory: { total: 3_072_000 } })
  } finally {
    await resources.close()
  }
  const noDisk = openResourceReader({ proc: dir.path, root: '', disk: '/no/such/dir' })
  await expect(noDisk.read()).rejects.toMatchObject({ code: 'ENOENT' })
  await noDisk.close()
})
