import { Buffer } from 'node:buffer'
import { type Client, messageReader } from './client.ts'
import { higher, latencyOf, lower, type Measure, secondsOf } from './measure.ts'

async function runTrue(client: Client): Promise<void> {
  const { body } = await client.start('/bin/true')
  if (!body.includes('"end"')) throw new Error(`no end: ${body}`)
}

export const startTrue: Measure = {
  name: 'true',
  async run({ client }) {
    const { p50, p95 } = await latencyOf(() => runTrue(client), { count: 300 })
    return [lower('Start /bin/true to end p50, ms', p50, 3.6), lower('Start /bin/true to end p95, ms', p95, 4.7)]
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
    return [higher('Starts per second, 32 at a time', STARTS / seconds, 612)]
  },
}

/** A key that is sent to `cat` in a terminal, until the terminal has echoed it. */
export const keyPress: Measure = {
  name: 'pty',
  async run({ client }) {
    let echoed = () => {}
    const started = Promise.withResolvers<number>()
    const onMessage = messageReader((message) => {
      const { event } = JSON.parse(message.toString())
      if (event?.start !== undefined) started.resolve(event.start.pid)
      if (event?.data !== undefined) echoed()
    })
    const request = { process: { cmd: '/bin/cat' }, pty: { size: { cols: 80, rows: 24 } } }
    const stream = client.stream('process.Process/Start', request, onMessage)
    stream.catch(started.reject)
    const process = { pid: await started.promise }
    const press = async (index: number) => {
      const echo = new Promise<void>((resolve) => {
        echoed = resolve
      })
      const pty = Buffer.from(String.fromCharCode(97 + (index % 26))).toString('base64')
      await client.unary('process.Process/SendInput', { process, input: { pty } })
      await echo
    }
    const { p50 } = await latencyOf(press, { count: 300 })
    await client.unary('process.Process/SendSignal', { process, signal: 'SIGNAL_SIGKILL' })
    await stream
    return [lower('key press through a PTY and back p50, ms', p50, 0.38)]
  },
}
