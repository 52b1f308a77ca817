import { expect, test } from 'vitest'
import { createCallCounts, LATENCY_BOUNDS } from '../../src/metrics/calls.ts'

test('calls are counted by method, by how long they took, and by error', () => {
  const calls = createCallCounts()
  for (const seconds of [0.0001, 0.005, 0.3, 1e6]) calls.add({ method: 'a.A/One', code: 'ok', seconds })
  calls.add({ method: 'a.A/Two', code: 'not_found', seconds: 0 })
  calls.add({ method: 'a.A/Two', code: 'not_found', seconds: 0 })
  const one = calls.methods.get('a.A/One')
  expect(one).toMatchObject({ count: 4, seconds: 1_000_000.3051, errors: new Map() })
  expect(Object.fromEntries(LATENCY_BOUNDS.map((bound, index) => [bound, one?.within[index]]))).toMatchObject({
    0.0005: 1,
    0.002: 1,
    0.005: 2,
    0.1: 2,
    0.5: 3,
    600: 3,
  })
  expect(calls.methods.get('a.A/Two')).toMatchObject({ count: 2, errors: new Map([['not_found', 2]]) })
})

test('the number of methods that are counted is bounded', () => {
  const calls = createCallCounts()
  for (let method = 0; method < 1000; method++) calls.add({ method: `m${method}`, code: 'ok', seconds: 0 })
  expect(calls.methods.size).toBe(256)
})
