import { expect, test } from 'vitest'
import { HISTORY_SAMPLES, History } from '../../src/metrics/history.ts'
import { NO_SAMPLE } from '../../src/metrics/sample.ts'

const at = (time: number) => ({ ...NO_SAMPLE, time, cpuUsedPct: time / 2, diskTotal: 2 ** 53 - time })

test('the history gives back what was put in, the oldest going first', () => {
  const history = new History(3)
  expect([history.start, history.end, history.at(0)]).toEqual([0, 0, undefined])
  for (const time of [10, 20, 30, 40, 50]) history.push(at(time))
  expect([history.start, history.end]).toEqual([2, 5])
  expect([1, 2, 3, 4, 5].map((number) => history.at(number))).toEqual([undefined, at(30), at(40), at(50), undefined])
})

test('a range goes from its first moment until before its last', () => {
  const history = new History(3)
  for (const time of [10, 20, 30, 40]) history.push(at(time))
  expect(history.between(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY)).toEqual([1, 2, 3])
  expect(history.between(20, 40)).toEqual([1, 2])
  expect(history.between(41, 100)).toEqual([])
})

test('samples keep their order and are found by their stamps when the wall clock was set back', () => {
  const history = new History(4)
  for (const time of [1000, 2000, 500, 1500]) history.push(at(time))
  expect(history.between(900, 1600)).toEqual([0, 3])
})

test('an hour of samples is kept', () => {
  const history = new History()
  for (let time = 0; time < HISTORY_SAMPLES + 10; time++) history.push(at(time))
  expect(HISTORY_SAMPLES * 2).toBe(3600)
  expect([history.start, history.end, history.at(10)?.time]).toEqual([10, 1810, 10])
})
