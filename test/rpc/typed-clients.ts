import type { MessageInitShape } from '@bufbuild/protobuf'
import { type Client, createClient, type Transport } from '@connectrpc/connect'
import { Filesystem } from '../../src/gen/filesystem/filesystem_pb.js'
import { Process, type ProcessEvent, type StreamInputRequestSchema } from '../../src/gen/process/process_pb.js'

/** Clients of both services over one transport. */
export interface Clients {
  readonly process: Client<typeof Process>
  readonly filesystem: Client<typeof Filesystem>
}

export function clientsOf(transport: Transport): Clients {
  return { process: createClient(Process, transport), filesystem: createClient(Filesystem, transport) }
}

/** What a process stream said, for comparisons. */
export interface Heard {
  readonly pid: number
  readonly stdout: string
  readonly stderr: string
  readonly pty: string
  readonly status: string | undefined
}

/** Reads a process stream to its end. Throws unless start is first and end is last. */
export async function heard(responses: AsyncIterable<{ event?: ProcessEvent | undefined }>): Promise<Heard> {
  const output = { stdout: '', stderr: '', pty: '' }
  let pid: number | undefined
  let status: string | undefined
  for await (const { event } of responses) {
    if (event === undefined) throw new Error('a message without an event')
    const reported = event.event
    if (status !== undefined) throw new Error(`${reported.case} after the end`)
    if ((pid === undefined) !== (reported.case === 'start')) throw new Error(`${reported.case} out of place`)
    if (reported.case === 'start') pid = reported.value.pid
    if (reported.case === 'end') status = reported.value.status
    if (reported.case === 'data' && reported.value.output.case !== undefined)
      output[reported.value.output.case] += Buffer.from(reported.value.output.value).toString('latin1')
  }
  if (pid === undefined) throw new Error('no start event')
  return { pid, ...output, status }
}

/** A process stream that was started, and its pid. */
export async function started<T extends { event?: ProcessEvent | undefined }>(
  responses: AsyncIterable<T>,
): Promise<{ pid: number; rest: AsyncGenerator<T> }> {
  const iterator = responses[Symbol.asyncIterator]()
  const first = await iterator.next()
  if (first.done || first.value.event?.event.case !== 'start') throw new Error('no start event')
  const { pid } = first.value.event.event.value
  const rest = async function* () {
    yield first.value
    for (let item = await iterator.next(); !item.done; item = await iterator.next()) yield item.value
  }
  return { pid, rest: rest() }
}

const bytes = (text: string) => new TextEncoder().encode(text)

/**
 * Calls every RPC of the process service through these clients; gives what was seen, which is the same for every
 * protocol.
 */
export async function tourOfProcesses({ process }: Clients, streamInput: boolean): Promise<Record<string, unknown>> {
  const select = (pid: number) => ({ selector: { case: 'pid' as const, value: pid } })
  const cat = await started(process.start({ process: { cmd: 'cat' }, tag: 'tour' }))
  const watched = await started(process.connect({ process: { selector: { case: 'tag', value: 'tour' } } }))
  const watching = heard(watched.rest)
  const listed = (await process.list({})).processes.filter((one) => one.pid === cat.pid)
  await process.sendInput({ process: select(cat.pid), input: { input: { case: 'stdin', value: bytes('one\n') } } })
  if (streamInput) {
    const messages = async function* (): AsyncGenerator<MessageInitShape<typeof StreamInputRequestSchema>> {
      yield { event: { case: 'start' as const, value: { process: select(cat.pid) } } }
      yield { event: { case: 'keepalive' as const, value: {} } }
      for (const text of ['two\n', 'three\n'])
        yield {
          event: { case: 'data' as const, value: { input: { input: { case: 'stdin' as const, value: bytes(text) } } } },
        }
    }
    await process.streamInput(messages())
  }
  await process.closeStdin({ process: select(cat.pid) })
  const [own, other] = await Promise.all([heard(cat.rest), watching])
  const size = { cols: 80, rows: 24 }
  const shell = await started(
    process.start({ process: { cmd: 'sh', args: ['-c', 'read x; stty size; sleep 1000'] }, pty: { size } }),
  )
  await process.update({ process: select(shell.pid), pty: { size: { cols: 132, rows: 43 } } })
  await process.sendInput({ process: select(shell.pid), input: { input: { case: 'pty', value: bytes('\n') } } })
  const terminal = await heardUntil(shell.rest, '43 132')
  await process.sendSignal({ process: select(shell.pid), signal: 9 })
  const late = await heard(process.connect({ process: select(shell.pid) }))
  return {
    samePid: own.pid === cat.pid && other.pid === cat.pid,
    listed: listed.map(({ tag, config }) => ({ tag, cmd: config?.cmd })),
    own: [own.stdout, own.status],
    other: [other.stdout, other.status],
    terminal,
    late: late.status,
  }
}

/** What `tourOfProcesses` gives. */
export function expectedTour(streamInput: boolean): Record<string, unknown> {
  const echoed = streamInput ? 'one\ntwo\nthree\n' : 'one\n'
  return {
    samePid: true,
    listed: [{ tag: 'tour', cmd: 'cat' }],
    own: [echoed, 'exit status 0'],
    other: [echoed, 'exit status 0'],
    terminal: true,
    late: 'signal: killed',
  }
}

async function heardUntil(
  responses: AsyncIterable<{ event?: ProcessEvent | undefined }>,
  text: string,
): Promise<boolean> {
  let output = ''
  for await (const { event } of responses) {
    if (event?.event.case === 'data' && event.event.value.output.case === 'pty')
      output += Buffer.from(event.event.value.output.value).toString()
    if (output.includes(text)) return true
  }
  return false
}

/** Calls every RPC of the filesystem service that is there, in `dir`; gives what was seen. */
export async function tourOfFiles({ filesystem }: Clients, dir: string): Promise<Record<string, unknown>> {
  const made = await filesystem.makeDir({ path: `${dir}/one` })
  await filesystem.makeDir({ path: `${dir}/one/deep` })
  const moved = await filesystem.move({ source: `${dir}/one`, destination: `${dir}/two` })
  const stat = await filesystem.stat({ path: `${dir}/two` })
  const list = await filesystem.listDir({ path: dir, depth: 2 })
  await filesystem.remove({ path: `${dir}/two` })
  const after = await filesystem.listDir({ path: dir, depth: 1 })
  return {
    made: made.entry?.path,
    moved: moved.entry?.path,
    stat: [stat.entry?.name, stat.entry?.type, stat.entry?.permissions],
    list: list.entries.map((entry) => entry.path).sort(),
    after: after.entries.length,
  }
}

/** What `tourOfFiles` gives for a fresh directory. */
export function expectedFiles(dir: string): Record<string, unknown> {
  return {
    made: `${dir}/one`,
    moved: `${dir}/two`,
    stat: ['two', 2, 'drwxr-xr-x'],
    list: [`${dir}/two`, `${dir}/two/deep`],
    after: 0,
  }
}
