import { open, type ProcessMessage, pidOf, type Stream, start, transcript } from '../_util/rpc.ts'
import { NO_PATH, OK, type Outcome, type Place, type Scenario, unary } from './scenario.ts'
import type { Fault } from './table.ts'

const PATHS = [NO_PATH, 'pipe:', '/dev/ptmx', '/dev/pts', 'memfd:', '/cgroup', 'anon_inode:[pidfd]', 'DIR']

/** How reads and writes of pipes and terminals may fail; EIO of a terminal is its end. */
const possible = ({ call, errno, lasting }: Fault) =>
  !['read', 'write'].includes(call) || (!lasting && ['EINTR', 'EAGAIN', 'ENOMEM'].includes(errno))

/** A command that ends by itself, with output, and what of it a client must get. */
async function ran(place: Place, options: Parameters<typeof start>[2]): Promise<Outcome> {
  const stream = await start(place.url, '/bin/sh', {
    args: ['-c', 'echo out; exit 3'],
    cwd: place.dir,
    signal: place.signal,
    stdin: false,
    ...options,
  })
  const { messages, end } = await stream.rest()
  if (end.error !== undefined) return { code: end.error.code, text: end.error.message ?? '' }
  const output = messages.map(({ event }) => event.data?.stdout ?? event.data?.pty ?? '').join('')
  const exit = messages.find(({ event }) => event.end !== undefined)?.event.end?.exitCode
  if (exit === 3 && Buffer.from(output, 'base64').toString().trim() === 'out') return OK
  // A start that fails late is reported as an exit, as of a shell.
  return exit === 126 || exit === 127
    ? { code: 'exit', text: `exit ${exit}` }
    : { code: 'false success', text: JSON.stringify(messages) }
}

/** With a running command, whose stream is closed and whose process is killed whatever happens. */
async function withCommand(
  place: Place,
  options: Parameters<typeof start>[2],
  work: (pid: number, stream: Stream<ProcessMessage>) => Promise<Outcome>,
): Promise<Outcome> {
  const stream = await start(place.url, 'cat', { cwd: place.dir, signal: place.signal, ...options })
  const pid = await pidOf(stream).catch((error: unknown) => String(error))
  if (typeof pid === 'string') return fromText(pid)
  try {
    return await work(pid, stream)
  } finally {
    stream.close()
    try {
      process.kill(pid, 'SIGKILL')
    } catch {}
  }
}

function fromText(text: string): Outcome {
  const code = /"code":"(\w+)"/.exec(text)?.[1]
  if (code === undefined) throw new Error(text)
  return { code, text: /"message":"([^"]*)/.exec(text)?.[1] ?? '' }
}

const PROCESS = 'process.Process'
const select = (pid: number) => ({ process: { pid } })

/** Commands and terminals. */
export const PROCESSES: readonly Scenario[] = [
  { name: 'Start of a command', matches: PATHS, possible, run: (place) => ran(place, {}) },
  {
    name: 'Start of a terminal',
    matches: PATHS,
    possible,
    run: (place) => ran(place, { pty: { cols: 80, rows: 24 } }),
  },
  {
    name: 'SendInput and its echo',
    matches: ['pipe:', 'memfd:'],
    possible,
    run: (place) =>
      withCommand(place, {}, async (pid, stream) => {
        const input = { stdin: Buffer.from('input').toString('base64') }
        const sent = await unary(place, `${PROCESS}/SendInput`, { ...select(pid), input })
        if (sent.code !== 'ok') return { code: sent.code, text: sent.text }
        const closed = await unary(place, `${PROCESS}/CloseStdin`, select(pid))
        if (closed.code !== 'ok') return { code: closed.code, text: closed.text }
        const { messages, end } = await stream.rest()
        const output = messages.map(({ event }) => event.data?.stdout ?? '').join('')
        if (end.error !== undefined) return { code: end.error.code, text: end.error.message ?? '' }
        return output === input.stdin ? OK : { code: 'false success', text: JSON.stringify(messages) }
      }),
  },
  {
    name: 'SendSignal',
    matches: [NO_PATH, 'anon_inode:[pidfd]', '/proc/'],
    run: (place) =>
      withCommand(place, {}, async (pid, stream) => {
        const sent = await unary(place, `${PROCESS}/SendSignal`, { ...select(pid), signal: 'SIGNAL_SIGKILL' })
        if (sent.code !== 'ok') return { code: sent.code, text: sent.text }
        const { messages } = await stream.rest()
        const status = messages.find(({ event }) => event.end !== undefined)?.event.end?.status
        return status?.includes('killed') ? OK : { code: 'false success', text: JSON.stringify(messages) }
      }),
  },
  {
    name: 'Update and input of a terminal',
    matches: ['/dev/ptmx', '/dev/pts', 'memfd:'],
    possible,
    run: (place) =>
      withCommand(place, { pty: { cols: 80, rows: 24 } }, async (pid, stream) => {
        const size = await unary(place, `${PROCESS}/Update`, { ...select(pid), pty: { size: { cols: 100, rows: 30 } } })
        if (size.code !== 'ok') return { code: size.code, text: size.text }
        const input = { pty: Buffer.from('x\n\u0004').toString('base64') }
        const sent = await unary(place, `${PROCESS}/SendInput`, { ...select(pid), input })
        if (sent.code !== 'ok') return { code: sent.code, text: sent.text }
        const { end } = await stream.rest()
        return end.error === undefined ? OK : { code: end.error.code, text: end.error.message ?? '' }
      }),
  },
  {
    name: 'Connect',
    matches: [NO_PATH, 'pipe:', 'memfd:'],
    possible,
    run: (place) =>
      withCommand(place, {}, async (pid) => {
        const other = await open(place.url, `${PROCESS}/Connect`, select(pid), { signal: place.signal })
        process.kill(pid, 'SIGTERM')
        const { end, streamEnd } = await transcript(other)
        if (streamEnd.error !== undefined) return { code: streamEnd.error.code, text: streamEnd.error.message ?? '' }
        return end === undefined ? { code: 'false success', text: 'no end' } : OK
      }),
  },
]
