import type { Command } from './command.ts'
import { Failure } from './failure.ts'
import { processStream, selectorOf } from './process-stream.ts'

const SIGNALS = ['TERM', 'KILL']

/** Signals a command with all that it started. */
export const kill: Command = {
  name: 'kill',
  usage: '[OPTION]... PID|TAG',
  summary: 'end a command with all that it started',
  words: [1, 1],
  options: {
    signal: { type: 'string', short: 's', value: 'SIGNAL', help: 'TERM (default) or KILL' },
    wait: { type: 'boolean', help: 'return when it has ended' },
  },
  run: async ({ sandbox, words, text, flag, json, write }) => {
    const name = (text('signal') ?? 'TERM').toUpperCase().replace(/^SIG/, '')
    if (!SIGNALS.includes(name)) throw new Failure('usage', `a signal is one of ${SIGNALS.join(', ')}: ${name}`)
    const process = selectorOf(words[0] ?? '')
    // Before the signal, so that its end is not missed.
    const items = processStream(sandbox, { method: 'Connect', message: { process }, repeatable: true })
    if (flag('wait')) await items.next()
    await sandbox.call('process.Process/SendSignal', { process, signal: `SIGNAL_SIG${name}` })
    if (flag('wait')) for await (const _item of items);
    if (json) await write(`${JSON.stringify({ process, signal: `SIG${name}` })}\n`)
    return 0
  },
}
