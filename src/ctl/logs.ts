import type { Command, Invocation } from './command.ts'
import { numberOf } from './command-line.ts'
import { BY_KEY, type Job, jobExitCode, jobOf, pidOf } from './jobs.ts'
import { jsonOf, type Offsets, type OffsetsJson, offsetsOf, type StreamName } from './process-stream.ts'
import { reopened } from './reopened.ts'
import { writeError } from './session.ts'

/** A message of `jobs.v1.Jobs/Read` as JSON. */
interface ReadMessage {
  readonly start?: { readonly offsets?: OffsetsJson; readonly skipped?: OffsetsJson }
  readonly data?: OffsetsJson & { readonly offset?: string }
  readonly end?: Job
}

const STREAMS: readonly StreamName[] = ['stdout', 'stderr', 'pty']

/** Shows what a command has written, as far as it is kept. */
export const logs: Command = {
  name: 'logs',
  usage: '[OPTION]... PID|TAG',
  summary: 'show the output that is kept of a command, which may have ended',
  words: [1, 1],
  options: {
    follow: { type: 'boolean', short: 'f', help: 'and what comes, until it ends; then exit as it did' },
    tail: { type: 'string', short: 'n', value: 'BYTES', help: 'of what is there only the last bytes of each stream' },
    ...BY_KEY,
  },
  run: async (invocation) => {
    const { sandbox, words, text, flag, json, write } = invocation
    const tail = numberOf(text('tail'), '--tail', 0)
    const pid = await pidOf(sandbox, jobOf(words[0], flag('key')))
    for await (const message of output(invocation, { pid, tail })) {
      if (json) await write(`${JSON.stringify(message)}\n`)
      else await show(message, write)
      if (message.end !== undefined) return flag('follow') ? jobExitCode(message.end) : 0
    }
    return 0
  },
}

/** The messages of the output; after a cut it goes on where it was. Throws Failure. */
async function* output(
  { sandbox, flag }: Invocation,
  { pid, tail }: { readonly pid: number; readonly tail: number | undefined },
): AsyncGenerator<ReadMessage, void> {
  const follow = flag('follow')
  let at: Offsets | undefined
  const open = () => {
    const from = at === undefined ? { tail } : { from: jsonOf(at) }
    return sandbox.stream<ReadMessage>('jobs.v1.Jobs/Read', { job: { pid }, follow, ...from })
  }
  for await (const message of reopened(open)) {
    const { start, data, end } = message
    if (start !== undefined && at === undefined) {
      at = beginOf(start)
      yield message
    }
    for (const stream of STREAMS) {
      const bytes = data?.[stream]
      if (bytes !== undefined && at !== undefined)
        at[stream] = Number(data?.offset ?? '0') + Buffer.byteLength(bytes, 'base64')
    }
    if (data !== undefined || end !== undefined) yield message
  }
}

/** Where the output begins that is sent. */
function beginOf({ offsets = {}, skipped = {} }: NonNullable<ReadMessage['start']>): Offsets {
  const [first, left] = [offsetsOf(offsets), offsetsOf(skipped)]
  return { stdout: first.stdout + left.stdout, stderr: first.stderr + left.stderr, pty: first.pty + left.pty }
}

async function show({ data }: ReadMessage, write: Invocation['write']): Promise<void> {
  for (const stream of STREAMS) {
    const bytes = data?.[stream]
    if (bytes !== undefined) await (stream === 'stderr' ? writeError : write)(Buffer.from(bytes, 'base64'))
  }
}
