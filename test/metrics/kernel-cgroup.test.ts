import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const script = fileURLToPath(new URL('fixtures/read-once.ts', import.meta.url))
const MIB = 2 ** 20

interface Group extends Disposable {
  /** What a process in the cgroup reads. */
  read(): Record<string, unknown>
}

/**
 * Where this machine has the controllers that limits are set by, and how: the file of each limit and what to write
 * there.
 */
const LAYOUTS = [
  {
    directories: ['/sys/fs/cgroup'],
    limits: [
      ['memory.max', String(256 * MIB)],
      ['cpu.max', '50000 100000'],
    ],
  },
  // Where scripts/in-namespace mounts them.
  {
    directories: ['/cgroup1/memory', '/cgroup1/cpu', '/cgroup1/cpuacct'],
    limits: [
      ['memory.limit_in_bytes', String(256 * MIB)],
      ['cpu.cfs_quota_us', '50000'],
    ],
  },
  {
    directories: ['/sys/fs/cgroup/memory', '/sys/fs/cgroup/cpu', '/sys/fs/cgroup/cpuacct'],
    limits: [
      ['memory.limit_in_bytes', String(256 * MIB)],
      ['cpu.cfs_quota_us', '50000'],
    ],
  },
] as const

/** A cgroup of the kernel with limits of 256 MiB and half a CPU; undefined where none can be made. */
function makeGroup(): Group | undefined {
  for (const { directories, limits } of LAYOUTS) {
    const own = directories.map((directory) => `${directory}/envd-test-${process.pid}`)
    const remove = () => {
      for (const directory of own) if (existsSync(directory)) rmdirSync(directory)
    }
    try {
      for (const directory of own) mkdirSync(directory, { recursive: false })
      for (const [name, value] of limits) {
        const directory = own.find((candidate) => existsSync(`${candidate}/${name}`))
        if (directory === undefined) throw new Error(`no ${name}`)
        writeFileSync(`${directory}/${name}`, value)
      }
    } catch {
      remove()
      continue
    }
    const enter = own.map((directory) => `echo $$ > ${directory}/cgroup.procs`).join('; ')
    const read = () =>
      JSON.parse(
        execFileSync('/bin/sh', ['-c', `${enter}; exec "$0" "$1"`, process.execPath, script], { encoding: 'utf8' }),
      )
    return { read, [Symbol.dispose]: remove }
  }
  return undefined
}

test('E8 in a cgroup of this kernel its limits are reported, and what its processes use', (context) => {
  using group = makeGroup()
  if (group === undefined) return context.skip('needs root and a cgroup file system that can be written')
  const readings = group.read()
  expect(readings).toMatchObject({ cpuCount: 1, cpuLimit: 0.5, memory: { total: 256 * MIB, oomKills: 0 } })
  const { used } = readings['memory'] as { used: number } // As `Readings` has it.
  expect(used).toBeGreaterThan(5 * MIB)
  expect(used).toBeLessThan(256 * MIB)
  expect(readings['cpuSeconds']).toBeGreaterThan(0.01)
  expect(readings['cpuSeconds']).toBeLessThan(30)
})
