import { expect, test } from 'vitest'
import type { End } from '../../src/process/exit-status.ts'
import { KeptAccount } from '../../src/process/kept-account.ts'
import { readAccount } from '../../src/process/process-record.ts'

const END: End = {
  ...{ exitCode: 3, exited: true, status: 'exit status 3', error: 'exit status 3' },
  ...{ cause: 'exit', outOfMemory: false, limitsHit: [] },
  usage: { startedAt: 1, endedAt: 2, cpuSeconds: undefined, peakMemory: undefined, bytesIn: 0, bytesOut: 0 },
}

test('of each scope the kill that comes first is kept, beside the end, until it is over', () => {
  let kept: Buffer | undefined
  let writes = 0
  const account = new KeptAccount((bytes) => {
    kept = bytes
    writes++
  })
  const late = account.add({ at: 300, scope: 'session' })
  const early = account.add({ at: 200, scope: 'session', reason: 'deadline' })
  const leader = account.add({ at: 100, scope: 'leader' })
  const kills = () => readAccount(kept).kills
  expect(kills()).toEqual([
    { at: 200, scope: 'session', reason: 'deadline' },
    { at: 100, scope: 'leader' },
  ])
  early()
  early()
  leader()
  account.end = END
  expect(readAccount(kept)).toEqual({ end: JSON.parse(JSON.stringify(END)), kills: [{ at: 300, scope: 'session' }] })
  expect(account.killing).toBe(true)
  late()
  expect([kills(), readAccount(kept).end?.exitCode, account.killing]).toEqual([[], 3, false])
  expect(writes).toBe(7)
})

test('nothing is kept when all that was to be said is over', () => {
  let kept: Buffer | undefined
  const account = new KeptAccount((bytes) => {
    kept = bytes
  })
  const over = account.add({ at: 1, scope: 'leader' })
  expect(kept).toBeDefined()
  over()
  expect(kept).toBeUndefined()
  expect(readAccount(kept)).toEqual({ end: undefined, kills: [] })
})
