import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { grpc, grpcWeb } from '../../_util/grpc.ts'
import { sendWhole } from '../../_util/http.ts'
import { enveloped, pidOf, start } from '../../_util/rpc.ts'
import { kill } from '../../process/calls.ts'
import { check, type Field, type Traffic } from '../field.ts'

async function remoteProcedures({ url, random }: Field): Promise<void> {
  const body = enveloped(Buffer.from('{}'))
  const made = random.chance(0.5) ? grpc : grpcWeb
  const { status, message } = await made(url, { method: 'process.Process/List', codec: '+json', body, timeout: 60_000 })
  check(status === 0, 'gRPC', message)
}

async function relayed({ url, echoPort, random }: Field, id: string): Promise<void> {
  const body = `${id} `.repeat(1 + random.int(20_000))
  const { status, text } = await sendWhole(`${url}/ports/${echoPort}/path`, { method: 'POST', body })
  check(status === 200 && text === body, 'relay', { status, length: text.length })
}

async function upgraded({ url, echoPort }: Field, id: string): Promise<void> {
  const headers = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': Buffer.alloc(16, id).toString('base64'),
  }
  const asking = request(`${url}/ports/${echoPort}/socket`, { headers, agent: false })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  asking.on('error', reject)
  asking.on('response', ({ statusCode }) => reject(new Error(`no upgrade: ${statusCode}`)))
  asking.on('upgrade', (_, socket) => {
    let got = ''
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`the connection closed after ${got}`)))
    socket.on('data', (chunk: Buffer) => {
      got += chunk.toString()
      if (got.length < id.length * 1000) return
      resolve()
      socket.destroy()
    })
    socket.write(id.repeat(1000))
  })
  asking.end()
  await promise
}

/** Opens a connection, says that much, waits, and is gone. */
async function silent({ url, random }: Field, text: string): Promise<void> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(text)
  await delay(random.int(3000))
  socket.destroy()
}

const READER = `fetch(process.argv[1] + '/process.Process/Connect', {
  method: 'POST',
  headers: { 'content-type': 'application/connect+json', 'connect-protocol-version': '1' },
  body: Buffer.from(process.argv[2], 'base64'),
}).then(async (answer) => { for await (const _ of answer.body) console.log('more') })`

/** A reader in a process of its own, which is killed in the middle: the command goes on. */
async function killedReader({ url }: Field): Promise<void> {
  const stream = await start(url, 'sh', { args: ['-c', 'for i in $(seq 400); do echo $i; sleep 0.05; done'] })
  const pid = await pidOf(stream)
  const body = enveloped(Buffer.from(JSON.stringify({ process: { pid } }))).toString('base64')
  const reader = spawn(process.execPath, ['-e', READER, url, body], { stdio: ['ignore', 'pipe', 'ignore'] })
  const gone = once(reader, 'exit')
  await Promise.race([once(reader.stdout, 'data'), gone])
  reader.kill('SIGKILL')
  await gone
  await stream.next()
  check((await kill(url, { pid })).status === 200, 'the command of a killed client')
  await stream.rest()
}

/** Other protocols, forwarded ports, and clients that do nothing or are killed. */
export const CLIENTS: readonly Traffic[] = [
  { name: 'gRPC and gRPC-Web', run: remoteProcedures },
  { name: 'a forwarded request', run: relayed },
  { name: 'a forwarded WebSocket', run: upgraded },
  { name: 'a connection that does nothing', run: (field) => silent(field, '') },
  { name: 'half a request', run: (field) => silent(field, 'POST /files HTTP/1.1\r\nHost: x\r\nContent-Le') },
  { name: 'a client process that is killed', weight: 0.3, run: killedReader },
]
