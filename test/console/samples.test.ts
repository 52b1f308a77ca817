import { create } from '@bufbuild/protobuf'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import { expect, test } from 'vitest'
import { columnsOf, lastSeconds, marksOf, rate, withSample } from '../../src/console/metrics/samples.ts'
import { type Sample, SampleSchema } from '../../src/gen/metrics/metrics_pb.js'

function sample(ms: number, rest: Partial<Omit<Sample, '$typeName'>> = {}): Sample {
  return create(SampleSchema, { timestamp: timestampFromMs(ms), uptime: ms / 1000, ...rest })
}
const cpu = { label: 'cpu', colour: '', value: ({ cpuUsedPct }: Sample) => cpuUsedPct }

test('a gap in time is a gap in the line', () => {
  const samples = [
    sample(2_000, { cpuUsedPct: 1 }),
    sample(4_000, { cpuUsedPct: 2 }),
    sample(20_000, { cpuUsedPct: 3 }),
  ]
  expect(columnsOf(samples, [cpu])).toEqual([
    [2, 4, 4.001, 20],
    [1, 2, null, 3],
  ])
})

test('a rate is the growth per second, and not known over a gap or a new beginning', () => {
  const written = { label: 'written', colour: '', value: rate(({ diskUsed }) => Number(diskUsed)) }
  const samples = [
    sample(2_000, { diskUsed: 100n }),
    sample(4_000, { diskUsed: 300n }),
    sample(6_000, { diskUsed: 0n }),
    sample(8_000, { diskUsed: 50n, uptime: 1 }),
    sample(30_000, { diskUsed: 60n }),
  ]
  expect(columnsOf(samples, [written])[1]).toEqual([null, 100, null, null, null, null])
})

test('the samples of an hour are kept, and a clock that is set back begins again from there', () => {
  let samples: Sample[] = []
  for (let i = 0; i < 2_000; i++) samples = withSample(samples, sample(i * 2_000))
  expect(samples.length).toBe(1_800)
  samples = withSample(samples, sample(1_999 * 2_000 - 5_000))
  expect(samples.length).toBe(1_798)
  expect(lastSeconds(samples, 9).length).toBe(5)
  expect(lastSeconds(samples, 1e9)).toBe(samples)
})

test('kills for lack of memory and restarts of the daemon and of services are marks', () => {
  const samples = [
    sample(10_000, { oomKills: 1n }),
    sample(12_000, { oomKills: 1n }),
    sample(14_000, { oomKills: 3n }),
    sample(16_000, { oomKills: 3n, serviceRestarts: 1n }),
    sample(20_000, { oomKills: 3n, uptime: 2, serviceRestarts: 2n }),
  ]
  expect(marksOf(samples)).toEqual([
    { time: 14, kind: 'oom', text: '2 OOM kills' },
    { time: 16, kind: 'service', text: '1 service restart' },
    { time: 18, kind: 'restart', text: 'daemon restarted' },
    { time: 20, kind: 'service', text: '2 service restarts' },
  ])
})
