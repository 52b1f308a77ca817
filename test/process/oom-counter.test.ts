import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { oomCounterOf } from '../../src/process/oom-counter.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const PID = 42

/** What the counter says of a machine with these files, before and after one of them is written anew. */
async function countsOf(
  files: Readonly<Record<string, string>>,
  changed: readonly [string, string],
): Promise<(number | undefined)[]> {
  await using dir = await makeTmpDir()
  const write = async (name: string, text: string) => {
    const path = join(dir.path, name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, text)
  }
  for (const [name, text] of Object.entries(files)) await write(name, text)
  const counter = await oomCounterOf(PID, { cgroupRoot: join(dir.path, 'cgroup'), proc: join(dir.path, 'proc') })
  const before = await counter.count()
  await write(...changed)
  return [before, await counter.count()]
}

const vmstat = 'nr_free_pages 5\noom_kill 100\n'

test('cgroup v2: memory.events of the cgroup of the process', async () => {
  const files = {
    'proc/42/cgroup': '0::/user/a:b\n',
    'cgroup/user/a:b/memory.events': 'low 0\nhigh 0\nmax 9\noom 2\noom_kill 2\noom_group_kill 7\n',
    'proc/vmstat': vmstat,
  }
  expect(await countsOf(files, ['cgroup/user/a:b/memory.events', 'oom_kill 3\n'])).toEqual([2, 3])
})

test('cgroup v2: a cgroup without the memory controller is counted in the nearest one above that has it', async () => {
  const file = 'cgroup/box/user/memory.events'
  const files = {
    'proc/42/cgroup': '0::/box/user/service.start.1f/inner\n',
    'cgroup/box/user/service.start.1f/inner/cgroup.procs': '42\n',
    'cgroup/memory.events': 'oom_kill 9\n',
    'cgroup/box/memory.events': 'oom_kill 8\n',
    [file]: 'oom_kill 2\n',
  }
  expect(await countsOf(files, [file, 'oom_kill 3\n'])).toEqual([2, 3])
})

test('cgroup v1: memory.oom_control', async () => {
  const files = {
    'proc/42/cgroup': '5:cpu,cpuacct:/\n4:memory:/box\n0::/\n',
    'cgroup/memory/box/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 0\n',
    'proc/vmstat': vmstat,
  }
  expect(await countsOf(files, ['cgroup/memory/box/memory.oom_control', 'oom_kill 1\n'])).toEqual([0, 1])
})

test.each([
  ['v2', '0::/docker/1f\n', 'cgroup/memory.events'],
  ['v1', '4:memory:/docker/1f\n0::/docker/1f\n', 'cgroup/memory/memory.oom_control'],
])(
  'cgroup %s in a container that sees its own cgroup as the root, and hears of its path on the host',
  async (_, path, file) => {
    const files = { 'proc/42/cgroup': path, [file]: 'oom_kill 4\n', 'proc/vmstat': vmstat }
    expect(await countsOf(files, [file, 'oom_kill 5\n'])).toEqual([4, 5])
  },
)

test('the root cgroup: /proc/vmstat', async () => {
  const files = { 'proc/42/cgroup': '0::/\n', 'proc/vmstat': vmstat }
  expect(await countsOf(files, ['proc/vmstat', 'oom_kill 101\n'])).toEqual([100, 101])
})

test('a process that is gone and a machine without counters: not known', async () => {
  expect(await countsOf({}, ['proc/other', ''])).toEqual([undefined, undefined])
})
