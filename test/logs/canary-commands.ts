import { createClient, type Interceptor } from '@connectrpc/connect'
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node'
import { Process } from '../../src/gen/process/process_pb.js'
import { sendWhole } from '../_util/http.ts'
import { asUser, call, enveloped, open, start } from '../_util/rpc.ts'
import type { Target } from './canary-init.ts'

/** Puts secrets into commands, their variables, output and input, in each protocol, and into calls that fail. */
export async function plantInCommands(target: Target): Promise<void> {
  await runWithSecrets(target)
  await useTerminal(target)
  for (const protocol of ['grpc', 'binary'] as const) await runTyped(target, protocol)
  await failToStart(target)
  await sendBadCalls(target)
  await sendBadHeaders(target)
}

const headersOf = ({ token }: Target) => ({ 'x-access-token': token })

async function runWithSecrets(target: Target): Promise<void> {
  const { url, canaries } = target
  const { plant } = canaries
  const headers = headersOf(target)
  const stream = await start(url, '/bin/sh', {
    args: ['-c', `echo ${plant('standard output')}; echo ${plant('standard error')} >&2; cat`, plant('argument')],
    envs: { SECRET: plant('variable of a command'), [plant('name of a variable of a command')]: 'a' },
    cwd: '/',
    tag: plant('tag'),
    headers: { ...headers, ...asUser('root'), 'user-agent': plant('user agent'), cookie: plant('cookie') },
  })
  const pid = (await stream.next()).event.start?.pid
  const process = { pid }
  const input = (where: string) => ({ stdin: Buffer.from(plant(where)).toString('base64') })
  await call(url, 'process.Process/SendInput', { process, input: input('input') }, { headers })
  await call(
    url,
    'process.Process/SendInput',
    { process: { tag: plant('unknown tag') }, input: input('lost input') },
    { headers },
  )
  await call(
    url,
    'process.Process/SendInput',
    { process, input: { stdin: `${plant('input that is not base64')}*` } },
    { headers },
  )
  await call(url, 'process.Process/SendInput', { process, input: { pty: 'AAAA' } }, { headers })
  await call(url, 'process.Process/CloseStdin', { process }, { headers })
  await stream.rest()
}

async function useTerminal(target: Target): Promise<void> {
  const { url, canaries } = target
  const headers = headersOf(target)
  const stream = await start(url, '/bin/sh', { pty: { cols: 80, rows: 24 }, headers })
  const process = { pid: (await stream.next()).event.start?.pid }
  const typed = Buffer.from(`echo ${canaries.plant('typed into a terminal')}; exit\n`).toString('base64')
  await call(url, 'process.Process/SendInput', { process, input: { pty: typed } }, { headers })
  await stream.rest()
}

async function runTyped(target: Target, protocol: 'grpc' | 'binary'): Promise<void> {
  const { plant } = target.canaries
  const identify: Interceptor = (next) => (request) => {
    request.header.set('x-access-token', target.token)
    request.header.set(
      'authorization',
      `Basic ${Buffer.from(`root:${plant(`password, ${protocol}`)}`).toString('base64')}`,
    )
    return next(request)
  }
  const options = { baseUrl: target.url, interceptors: [identify], httpVersion: '2' as const, useBinaryFormat: true }
  const client = createClient(
    Process,
    protocol === 'grpc' ? createGrpcTransport(options) : createConnectTransport(options),
  )
  const bytes = (where: string) => Buffer.from(`${plant(`${where}, ${protocol}`)}\n`)
  const envs = { SECRET: plant(`variable, ${protocol}`) }
  for await (const { event } of client.start({ process: { cmd: '/bin/cat', envs }, stdin: true })) {
    if (event?.event.case !== 'start') continue
    const selector = { case: 'pid', value: event.event.value.pid } as const
    await client.sendInput({ process: { selector }, input: { input: { case: 'stdin', value: bytes('input') } } })
    const inputs = async function* () {
      yield { event: { case: 'start', value: { process: { selector } } } } as const
      yield {
        event: { case: 'data', value: { input: { input: { case: 'stdin', value: bytes('stream input') } } } },
      } as const
      yield {
        event: { case: 'data', value: { input: { input: { case: 'pty', value: bytes('input of a wrong kind') } } } },
      } as const
    }
    await client.streamInput(inputs()).catch(() => {})
    await client.closeStdin({ process: { selector } })
  }
}

async function failToStart(target: Target): Promise<void> {
  const { url, canaries } = target
  const { plant } = canaries
  const headers = headersOf(target)
  const fail = async (file: string, options: Parameters<typeof start>[2] = {}) => {
    await (await start(url, file, { stdin: false, ...options, headers: { ...headers, ...options.headers } })).rest()
  }
  await fail(`/none/${plant('directory of a missing command')}/program`)
  await fail(`/bin/true\0${plant('command with NUL')}`)
  await fail('/bin/true', { args: [`\0${plant('argument with NUL')}`] })
  await fail('/bin/true', { args: [plant('argument that is too long').repeat(10_000)] })
  await fail('/bin/true', { cwd: `/none/${plant('missing directory')}` })
  await fail('/bin/true', { envs: { [`${plant('variable with =')}=`]: 'a', B: `\0${plant('variable with NUL')}` } })
  await fail('/bin/true', { headers: asUser(plant('unknown user of a stream')) })
  await call(url, 'process.Process/List', {}, { headers: { ...headers, ...asUser(plant('unknown user')) } })
}

async function sendBadCalls(target: Target): Promise<void> {
  const { url, canaries } = target
  const { plant } = canaries
  const headers = headersOf(target)
  const post = (method: string, contentType: string, body: string | Uint8Array) =>
    sendWhole(`${url}/${method}`, { method: 'POST', headers: { ...headers, 'content-type': contentType }, body })
  await post('process.Process/SendInput', 'application/json', `{"process": ${plant('malformed call')}`)
  await post('process.Process/SendInput', 'application/json', `{"input": {"stdin": ["${plant('wrong type')}"]}}`)
  await post('process.Process/SendInput', 'application/json', `{"${plant('unknown field of a call')}": 1}`)
  await post('process.Process/SendInput', 'application/proto', `\x0a\x7f${plant('malformed message')}`)
  await post('process.Process/Start', 'application/connect+json', plant('malformed envelope'))
  await post(
    'process.Process/Start',
    'application/connect+json',
    enveloped(Buffer.from(`{"process": ${plant('malformed start')}`)),
  )
  await post(
    'process.Process/Start',
    'application/connect+proto',
    enveloped(Buffer.from(plant('malformed start message'))),
  )
  await post('process.Process/Start', 'application/grpc', enveloped(Buffer.from(plant('malformed gRPC'))))
  await post(
    'process.Process/StreamInput',
    'application/connect+json',
    enveloped(Buffer.from(`{"a": ${plant('malformed stream')}`)),
  )
  const stat = (path: string) => call(url, 'filesystem.Filesystem/Stat', { path }, { headers })
  await stat(`/none/${plant('path of a call')}`)
  await stat(`/none\0${plant('path with NUL')}`)
  await stat(`/${plant('name that is too long').repeat(20)}`)
  await stat(`~${plant('home of nobody')}`)
  await call(
    url,
    'filesystem.Filesystem/Move',
    { source: `/none/${plant('source')}`, destination: `/none/${plant('destination')}` },
    { headers },
  )
  const watch = await open(
    url,
    'filesystem.Filesystem/WatchDir',
    { path: `/none/${plant('watched path')}` },
    { headers },
  )
  await watch.rest()
  await call(url, 'filesystem.Filesystem/GetWatcherEvents', { watcherId: plant('watcher') }, { headers })
}

async function sendBadHeaders(target: Target): Promise<void> {
  const { url, canaries } = target
  const names = [
    'x-access-token',
    'authorization',
    'connect-timeout-ms',
    'connect-protocol-version',
    'content-encoding',
    'content-type',
    'keepalive-ping-interval',
    'origin',
    'accept-encoding',
    'x-unknown',
  ]
  for (const name of names) {
    const headers = { ...headersOf(target), [name]: canaries.plant(`header ${name}`) }
    await call(url, 'process.Process/List', {}, { headers })
    await call(url, 'process.Process/List', {}, { headers, http2: true })
    await sendWhole(`${url}/envs`, { headers })
    await sendWhole(`${url}/process.Process/Start`, {
      method: 'POST',
      headers: { 'content-type': 'application/connect+json', ...headers },
      body: enveloped(Buffer.from('{}')),
    })
  }
}
