import { expect } from 'vitest'
import { Level } from '../../../src/gen/logs/v1/logs_pb.js'
import { collected } from '../../_util/collected.ts'

import { type Calls, first } from './visit.ts'

export const MACHINE_CALLS: Calls = {
  'activity.v1.Activity/Get': async ({ activity }) => {
    expect((await activity.get({})).status?.windowSeconds).toBe(10)
  },
  'activity.v1.Activity/Watch': async ({ activity }) => {
    const { event } = await first((options) => activity.watch({}, options))
    expect(event.case === 'status' && event.value.windowSeconds).toBe(10)
  },
  'capabilities.v1.Capabilities/Get': async ({ capabilities }) => {
    const { services } = await capabilities.get({})
    expect(services.find(({ name }) => name === 'process.Process')?.methods[0]?.name).toBe('List')
  },
  'logs.v1.Logs/Read': async ({ logs }) => {
    const events = await collected(logs.read({ level: Level.DEBUG }))
    expect(events[0]?.event.case).toBe('start')
    expect(JSON.parse(events.flatMap(({ event }) => (event.case === 'line' ? event.value.json : []))[0] ?? '')).toEqual(
      expect.objectContaining({ logger: expect.any(String), message: expect.any(String) }),
    )
  },
  'metrics.Metrics/Get': async ({ metrics }) => {
    expect(Number((await metrics.get({})).sample?.memTotal)).toBeGreaterThan(0)
  },
  'metrics.Metrics/List': async ({ metrics }) => {
    expect((await metrics.list({ limit: 1 })).samples.length).toBe(1)
  },
  'metrics.Metrics/Watch': async ({ metrics }) => {
    const { event } = await first((options) => metrics.watch({ from: { seconds: 0n } }, options))
    expect(event.case).toBe('sample')
  },
  'ports.Ports/List': async ({ ports }) => {
    await expect.poll(async () => (await ports.list({})).listeners.length).toBeGreaterThan(0)
  },
  'ports.Ports/Watch': async ({ ports }) => {
    expect((await first((options) => ports.watch({}, options))).event.case).toBe('snapshot')
  },
}
