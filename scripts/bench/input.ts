import { Buffer } from 'node:buffer'
import { request } from 'node:http'
import { type Client, enveloped, messageReader, USER } from './client.ts'
import { latencyOf, latencyRows, type Measure } from './measure.ts'

const COUNT = 1000
const WARM = 200

/** A `cat`, with what gives input of a byte to it; each resolves when that has come back. */
export interface Cat {
  /** By a unary call. */
  send(index: number): Promise<void>
  /** By a message of a stream that stays open. */
  stream(index: number): Promise<void>
  end(): Promise<void>
}

/** A key that is sent to `cat` in a terminal, until the terminal has echoed it. */
export const keyPress: Measure = {
  name: 'pty',
  async run({ client }) {
    const cat = await startCat(client, 'pty')
    const latency = await latencyOf(cat.send, { count: COUNT, warm: WARM })
    await cat.end()
    return latencyRows('key press through a terminal and back', latency, { p50: 0.2 })
  },
}

/** Input to a `cat` without a terminal and back. */
export const inputEcho: Measure = {
  name: 'input',
  async run({ client }) {
    const cat = await startCat(client, 'stdin')
    const sent = await latencyOf(cat.send, { count: COUNT, warm: WARM })
    const streamed = await latencyOf(cat.stream, { count: COUNT, warm: WARM })
    await cat.end()
    return [...latencyRows('SendInput and its echo', sent), ...latencyRows('StreamInput and its echo', streamed)]
  },
}

/** The caller ends it. */
export async function startCat(client: Client, kind: 'pty' | 'stdin'): Promise<Cat> {
  /** Those whose byte is under way, in order. */
  const waiting: (() => void)[] = []
  const started = Promise.withResolvers<number>()
  const onMessage = messageReader((message) => {
    const { event } = JSON.parse(message.toString())
    if (event?.start !== undefined) started.resolve(event.start.pid)
    const text: string = event?.data?.stdout ?? event?.data?.pty ?? ''
    for (const heard of waiting.splice(0, Buffer.from(text, 'base64').length)) heard()
  })
  const how = kind === 'pty' ? { pty: { size: { cols: 80, rows: 24 } } } : { stdin: true }
  const output = client.stream('process.Process/Start', { process: { cmd: '/bin/cat' }, ...how }, onMessage)
  output.catch(started.reject)
  const process = { pid: await started.promise }
  const input = streamInput(client, process)
  const echo = async (write: () => unknown) => {
    const heard = new Promise<void>((resolve) => {
      waiting.push(resolve)
    })
    await write()
    await heard
  }
  const key = (index: number) => ({ [kind]: Buffer.from(String.fromCharCode(97 + (index % 26))).toString('base64') })
  return {
    send: (index) => echo(() => client.unary('process.Process/SendInput', { process, input: key(index) })),
    stream: (index) => echo(() => input.write({ data: { input: key(index) } })),
    end: async () => {
      input.close()
      await client.unary('process.Process/SendSignal', { process, signal: 'SIGNAL_SIGKILL' })
      await output
    },
  }
}

function streamInput(client: Client, process: { readonly pid: number }) {
  const headers = { ...USER, 'content-type': 'application/connect+json', 'connect-protocol-version': '1' }
  const outgoing = request(new URL('/process.Process/StreamInput', client.url), { method: 'POST', headers })
  outgoing.on('error', () => {}).setNoDelay(true)
  const write = (message: object) => outgoing.write(enveloped(Buffer.from(JSON.stringify(message))))
  write({ start: { process } })
  return { write, close: () => outgoing.destroy() }
}
