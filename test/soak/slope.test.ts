import { expect, test } from 'vitest'
import { growthOf, LIMITS, slopeOf } from './slope.ts'

const series = (value: (at: number) => number) =>
  Array.from({ length: 200 }, (_, at) => ({ seconds: at * 10, value: value(at) }))

test('a slope is found below noise and odd points', () => {
  const rising = series((at) => at * 0.5 + Math.sin(at * 7) * 10 + (at % 20 === 0 ? 500 : 0))
  expect(slopeOf(rising)).toBeCloseTo(0.05, 2)
  expect(slopeOf(series((at) => Math.sin(at * 7) * 10))).toBeCloseTo(0, 2)
  expect(slopeOf([])).toBe(0)
})

test('a descriptor that leaks each half minute goes beyond its limit, and a warm-up does not', () => {
  const grown = (value: (at: number) => number) =>
    growthOf(
      series(value).map(({ seconds, value: descriptors }) => ({ seconds, figures: { descriptors } })),
      LIMITS.daemon,
    )
  const [leak] = grown((at) => 40 + Math.floor(at / 3) + (at % 5))
  const [warm] = grown((at) => Math.min(at * 4, 160) + (at % 5))
  expect(leak?.growth).toBeGreaterThan(leak?.limit ?? Number.POSITIVE_INFINITY)
  expect(warm?.growth).toBeLessThan(warm?.limit ?? 0)
})
