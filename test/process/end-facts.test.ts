import { expect, test } from 'vitest'
import type { GroupUsage } from '../../src/cgroups/limited-group.ts'
import { type Circumstances, endFacts, usedBy } from '../../src/process/end-facts.ts'
import { endOf, type KnownEnd } from '../../src/process/exit-status.ts'

const USAGE = { startedAt: 1, endedAt: 2, cpuSeconds: 0.5, peakMemory: undefined, bytesIn: 3, bytesOut: 4 }
const KILLED = { signal: 9, coreDumped: false }
const PLAIN: Circumstances = {
  ...{ pid: 7, status: { exitCode: 0 }, signalled: false, reason: undefined },
  ...{ group: undefined, oom: undefined, usage: USAGE },
}

/** How an end reads, with its cause. */
async function read(circumstances: Partial<Circumstances>) {
  const all = { ...PLAIN, ...circumstances }
  const { cause, status, error, limitsHit } = endOf(all.status, await endFacts(all))
  return { cause, status, error, limitsHit }
}

function groupOf(taken: Partial<GroupUsage>): NonNullable<Circumstances['group']> {
  const nothing = { cpuSeconds: 9, memory: 2048, peakMemory: 4096, oomKills: 0, memoryHits: 0, pidsHits: 0 }
  return {
    name: 'command.1',
    removeOnceEmpty: () => {},
    usage: async () => ({ ...nothing, ...taken }),
  }
}

const saying = (answer: boolean) => ({ wasOutOfMemory: async () => answer })

test.each<[KnownEnd, Partial<Circumstances>, string]>([
  [{ exitCode: 0 }, {}, 'exit'],
  [{ exitCode: 3 }, { signalled: true }, 'exit'],
  [{ signal: 15, coreDumped: false }, {}, 'signal'],
  [KILLED, { signalled: true }, 'signal'],
  [KILLED, { signalled: true, reason: 'deadline' }, 'deadline'],
  [{ exitCode: 0 }, { signalled: true, reason: 'daemon_stopped' }, 'daemon_stopped'],
  ['unknown', { reason: 'daemon_stopped' }, 'unknown'],
])('the end %o with %o has the cause %s, at once', (status, circumstances, cause) => {
  expect(endFacts({ ...PLAIN, status, ...circumstances })).toMatchObject({ cause, outOfMemory: false, usage: USAGE })
})

test('a kill of the kernel for lack of memory is reported in the error, not in the status', async () => {
  const oom = saying(true)
  expect(await read({ status: KILLED, oom })).toEqual({
    ...{ cause: 'out_of_memory', limitsHit: [] },
    ...{ status: 'signal: killed', error: 'signal: killed (out of memory)' },
  })
  expect(await read({ status: { exitCode: 137 }, oom })).toMatchObject({
    ...{ cause: 'out_of_memory', status: 'exit status 137', error: 'exit status 137 (out of memory)' },
  })
})

test('the witness is not asked about an end that is no SIGKILL, and its no changes nothing', async () => {
  const error = 'signal: killed'
  expect(await read({ status: KILLED, oom: saying(false) })).toMatchObject({ cause: 'signal', error })
  expect(await read({ status: KILLED, oom: saying(true), signalled: true })).toMatchObject({ cause: 'signal', error })
  expect(await read({ status: { exitCode: 1 }, oom: saying(true) })).toMatchObject({ cause: 'exit' })
})

test('of a command with a cgroup of its own that says what it has met and taken', async () => {
  const group = groupOf({ oomKills: 1, memoryHits: 2 })
  expect(await read({ status: KILLED, group })).toMatchObject({
    ...{ cause: 'limit', limitsHit: ['memory'], error: 'signal: killed (out of memory)' },
  })
  expect(await read({ status: KILLED, group: groupOf({ oomKills: 1 }) })).toMatchObject({ cause: 'out_of_memory' })
  expect(await read({ status: { exitCode: 2 }, group: groupOf({ pidsHits: 1 }) })).toMatchObject({
    ...{ cause: 'exit', limitsHit: ['pids'], error: 'exit status 2 (process limit reached)' },
  })
  expect(await read({ group: groupOf({ pidsHits: 1 }) })).toMatchObject({ error: undefined, limitsHit: ['pids'] })
  expect(await endFacts({ ...PLAIN, group })).toMatchObject({ usage: { ...USAGE, cpuSeconds: 9, peakMemory: 4096 } })
  const silent = groupOf({ cpuSeconds: undefined, peakMemory: undefined })
  expect(await endFacts({ ...PLAIN, group: silent })).toMatchObject({ usage: USAGE })
})

test("memory that could be the daemon's own is not reported", () => {
  const own = process.resourceUsage().maxRSS
  const reaped = { status: { exitCode: 0 }, cpuMicroseconds: 1_500_000 }
  expect(usedBy({ ...reaped, peakKib: own })).toEqual({ cpuSeconds: 1.5, peakMemory: undefined })
  expect(usedBy({ ...reaped, peakKib: 10 * own })).toEqual({ cpuSeconds: 1.5, peakMemory: 10 * own * 1024 })
  expect(usedBy(undefined)).toEqual({ cpuSeconds: undefined, peakMemory: undefined })
})
