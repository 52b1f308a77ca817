import type { Client } from './client.ts'
import { higher, latencyOf, latencyRows, type Measure, secondsOf } from './measure.ts'

async function runTrue(client: Client): Promise<void> {
  const { body } = await client.start('/bin/true')
  if (!body.includes('"end"')) throw new Error(`no end: ${body}`)
}

export const startTrue: Measure = {
  name: 'true',
  async run({ client }) {
    const latency = await latencyOf(() => runTrue(client), { count: 300 })
    return latencyRows('Start /bin/true to end', latency, { p50: 2.9 })
  },
}

const STARTS = 1000
const LANES = 32

export const startsPerSecond: Measure = {
  name: 'starts',
  async run({ client }) {
    let left = STARTS
    const lane = async () => {
      while (left-- > 0) await runTrue(client)
    }
    const seconds = await secondsOf(() => Promise.all(Array.from({ length: LANES }, lane)))
    return [higher('Starts per second, 32 at a time', STARTS / seconds, 660)]
  },
}
