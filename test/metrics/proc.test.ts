import { expect, test } from 'vitest'
import {
  busyPercent,
  countCpus,
  namedFigure,
  parseCpuTimes,
  parseLoad,
  parseMemory,
  parseResident,
} from '../../src/metrics/proc.ts'

const STAT = `cpu  100 20 30 1000 50 5 7 8 60 3
cpu0 50 10 15 500 25 2 3 4 30 1
cpu1 50 10 15 500 25 3 4 4 30 2
intr 1234 5 6
ctxt 99
`

const MEMINFO = `MemTotal:        8000000 kB
MemFree:         1000000 kB
MemAvailable:    5000000 kB
Buffers:          200000 kB
Cached:          3000000 kB
SwapCached:       111111 kB
SReclaimable:     400000 kB
HugePages_Total:       0
`

test('E4 CPU time is the aggregate line without guest time; idle and waiting are not busy', () => {
  expect(parseCpuTimes(STAT)).toEqual({ total: 1220, busy: 170 })
  expect(parseCpuTimes('cpu  1 2 3 4\n')).toEqual({ total: 10, busy: 6 })
  expect(() => parseCpuTimes('cpu0 1 2 3 4\n')).toThrow('no line')
})

const shares = [
  { busy: 50, total: 100, percent: 50 },
  { busy: 1, total: 3, percent: 33.33 },
  { busy: 2, total: 3, percent: 66.67 },
  { busy: 0, total: 100, percent: 0 },
  { busy: -5, total: 100, percent: 0 },
  { busy: 0, total: 0, percent: 0 },
  { busy: 5, total: 0, percent: 100 },
  { busy: 5, total: -1, percent: 100 },
  { busy: 7, total: 5, percent: 100 },
]

test.each(shares)('E4 $busy busy ticks of $total are $percent %', ({ busy, total, percent }) => {
  const before = { busy: 1000, total: 5000 }
  expect(busyPercent(before, { busy: before.busy + busy, total: before.total + total })).toBe(percent)
})

test('E3 CPUs are the processor lines of cpuinfo, or the numbered lines of stat', () => {
  expect(countCpus('processor\t: 0\nmodel name\t: x processor: y\n\nprocessor\t: 1\n\nprocessor\t: 2\n', STAT)).toBe(3)
  expect(countCpus('', STAT)).toBe(2)
  expect(countCpus('Processor rev 1\n', 'cpu  1 2\n')).toBe(0)
})

test('E5 memory in use is what is not available; the cache includes what the kernel can reclaim', () => {
  expect(parseMemory(MEMINFO)).toEqual({ total: 8000000 * 1024, used: 3000000 * 1024, cache: 3400000 * 1024 })
})

test('E5 without MemAvailable, free memory and caches stand in for it', () => {
  const old = MEMINFO.replace(/MemAvailable.*\n/, '')
  expect(parseMemory(old)).toMatchObject({ used: (8000000 - 1000000 - 200000 - 3000000) * 1024 })
  expect(() => parseMemory('MemFree: 1 kB\n')).toThrow('MemTotal')
})

test('the load and resident memory are what the kernel says, zero where it says nothing', () => {
  expect(parseLoad('0.20 0.18 12.05 1/80 11206\n')).toEqual([0.2, 0.18, 12.05])
  expect(parseLoad('')).toEqual([0, 0, 0])
  expect(parseResident('VmHWM:\t  200 kB\nVmRSS:\t  100 kB\n')).toBe(102_400)
  expect(parseResident('')).toBe(0)
})

test('a named figure is that of the whole name', () => {
  expect(namedFigure('oom 1\noom_kill 2\noom_kill_x 3\n', 'oom_kill')).toBe(2)
  expect(namedFigure('oom 1\n', 'kill')).toBe(0)
})
