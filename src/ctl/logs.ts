import type { Command, Invocation } from './command.ts'
import { Failure } from './failure.ts'
import { jsonOf, type Offsets, offsetsOf, type Selector, type StartMessage, selectorOf } from './process-stream.ts'
import { showProcess } from './session.ts'

const NOTHING: Offsets = { stdout: 0, stderr: 0, pty: 0 }

/** Shows what a command has written, as far as it is kept. */
export const logs: Command = {
  name: 'logs',
  usage: '[OPTION]... PID|TAG',
  summary: 'show the output that is kept of a command',
  words: [1, 1],
  options: { follow: { type: 'boolean', short: 'f', help: 'and what comes, until it ends' } },
  run: async (invocation) => {
    const { words, flag } = invocation
    const selector = selectorOf(words[0] ?? '')
    const until = flag('follow') ? undefined : await presentOf(invocation, selector)
    const message = { process: selector, resumeFrom: jsonOf(await oldestOf(invocation, selector)) }
    return showProcess(invocation, { method: 'Connect', message, repeatable: true }, { onStart: () => {}, until })
  },
}

/** Where the output stands now. Throws Failure. */
async function presentOf({ sandbox }: Invocation, process: Selector): Promise<Offsets> {
  for await (const { event } of sandbox.stream<StartMessage>('process.Process/Connect', { process })) {
    if (event?.start?.offsets === undefined) throw new Failure('unimplemented', 'this daemon keeps no output to show')
    return offsetsOf(event.start.offsets)
  }
  throw new Failure('lost', 'the stream ended without a start')
}

/**
 * The oldest output that is kept: the daemon names it, one stream at a time, when older output is asked for. Throws
 * Failure.
 */
async function oldestOf({ sandbox }: Invocation, process: Selector): Promise<Offsets> {
  const oldest = { ...NOTHING }
  for (;;) {
    try {
      const message = { process, resumeFrom: jsonOf(oldest) }
      for await (const _start of sandbox.stream('process.Process/Connect', message)) break
      return oldest
    } catch (error) {
      const [, stream, offset] = error instanceof Failure ? (KEPT_FROM.exec(error.message) ?? []) : []
      if (!isStream(stream)) throw error
      // What runs on drops more meanwhile, so each answer is further on.
      oldest[stream] = Number(offset)
    }
  }
}

/** The message of `out_of_range`. */
const KEPT_FROM = /^(stdout|stderr|pty) is kept from offset (\d+) on/

function isStream(name: string | undefined): name is keyof Offsets {
  return name !== undefined && name in NOTHING
}
