import { expect, test } from 'vitest'
import { createClock, isClockOff } from '../../src/init/clock.ts'
import { setClock } from '../../src/native/index.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { recordingLog } from '../_util/recording-log.ts'

const differences: [number, boolean][] = [
  [0, false],
  [50_000_000, false],
  [50_000_001, true],
  [3_600_000_000_000, true],
  [-1, false],
  [-5_000_000_000, false],
  [-5_000_000_001, true],
]

test.each(differences)('F12 a timestamp %d ns from now sets the clock: %s', (difference, off) => {
  const now = 1_795_190_400_123_456_789n
  expect(isClockOff(now, now + BigInt(difference))).toBe(off)
})

const now = () => BigInt(Date.now()) * 1_000_000n

test('F12 the clock is set to the timestamp to the nanosecond, and not when it is good', () => {
  const set: number[][] = []
  const { log, lines } = recordingLog()
  const clock = createClock({ log, setClock: (...time) => void set.push(time) })
  clock.adjust(now() - 1_000_000_000n)
  expect(set).toEqual([])
  clock.adjust(4_102_444_800_000_000_001n)
  expect(set).toEqual([[4_102_444_800, 1]])
  expect(lines).toMatchObject([{ level: 'info' }])
})

test('F12 a clock that may not be set is logged once and is no failure', (context) => {
  needsNamespace(context)
  const { log, lines } = recordingLog()
  const clock = createClock({ log, setClock })
  const before = Date.now()
  clock.adjust(now() + 3_600_000_000_000n)
  clock.adjust(now() + 7_200_000_000_000n)
  expect(Date.now() - before).toBeLessThan(3_000_000)
  expect(lines).toMatchObject([{ level: 'error', errno: 'EPERM' }])
})
