import { join } from 'node:path'
import { expect, test } from 'vitest'
import { needsRoot } from '../_util/namespace.ts'
import type { ProcessEnd } from '../_util/rpc.ts'
import { inOwnKernel } from '../_util/user-mode-linux.ts'

interface Run {
  readonly output: string
  readonly end: ProcessEnd
}

/** What the program reports. */
interface Report {
  readonly before: Run
  readonly all: Run
  readonly placed: { readonly of: number; readonly rest: string; readonly user: string }
  readonly after: Run
  readonly terminal: Run
  readonly holds: {
    readonly job: { readonly memoryBytes: string; readonly peakMemoryBytes: string }
    readonly current: number
  }
  readonly memory: Run
  readonly pids: Run
  readonly cpu: Run
  readonly again: string
  readonly many: readonly string[]
  readonly outside: boolean
  readonly shared: ProcessEnd
  readonly forged: ProcessEnd
}

const GROUP = 'command\\.[0-9a-f-]{36}'

test('limits of commands hold in a cgroup of their own, which a freeze reaches and which goes with its last process', async (context) => {
  needsRoot(context)
  const program = join(import.meta.dirname, 'fixtures/limited-commands.ts')
  // What the program reports.
  const result = (await inOwnKernel(context, program)) as Report
  expect(result.before.output).toBe('/sys/fs/cgroup/user\n')
  // Whatever starts at the same time is in one of its places.
  const places = result.many.map((path) => path.slice('/sys/fs/cgroup/user'.length))
  expect(places.filter((path) => path.startsWith('/command.'))).toHaveLength(10)
  expect(places.filter((path) => path === '' || path === '/rest')).toHaveLength(50)
  expect(result.outside).toBe(false)
  expect(result.all.output).toMatch(
    new RegExp(`^/sys/fs/cgroup/user/${GROUP}\\n52428800\\n0\\n1\\n10\\n50000 100000\\n$`),
  )
  // Commands without limits move out of the way, and start there from then on.
  expect(result.placed.rest.split('\n')).toContain(String(result.placed.of))
  expect(result.placed.user).toBe('')
  expect(result.after.output).toBe('/sys/fs/cgroup/user/rest\n')
  expect(result.terminal.output).toMatch(new RegExp(`^/sys/fs/cgroup/ptys/${GROUP}\\r\\n$`))
  // Live, from the cgroup: both are asked for within moments.
  const { memoryBytes, peakMemoryBytes } = result.holds.job
  expect(Number(memoryBytes)).toBeGreaterThan(20_000_000)
  expect(Number(memoryBytes)).toBeLessThan(52_428_800)
  expect(Number(peakMemoryBytes)).toBeGreaterThanOrEqual(Number(memoryBytes))
  expect(Math.abs(Number(memoryBytes) - result.holds.current)).toBeLessThan(2_000_000)
  const status = 'signal: killed'
  const outOfMemory = { exitCode: -1, status, error: `${status} (out of memory)` }
  expect(result.memory).toEqual({ output: '', end: outOfMemory })
  expect(result.pids).toMatchObject({
    output: expect.stringContaining('Cannot fork'),
    end: { status: 'exit status 2', error: 'exit status 2 (process limit reached)' },
  })
  expect(result.cpu.output).toMatch(/^nr_throttled [1-9]/m)
  expect(result).toMatchObject({ emptied: true, frozen: true, thawed: true, stayed: 1, removed: true, inherited: true })
  expect(result.again).toBe('/sys/fs/cgroup/user/rest\n')
  // Without one of their own the kernel's log says whom it has killed, and processes cannot write there what counts.
  expect(result.shared).toEqual(outOfMemory)
  expect(result.forged).toEqual({ exitCode: -1, status, error: status })
}, 440_000)
