import type { Command } from './command.ts'
import { exitCodeOf, FAILED } from './exit-code.ts'
import { processStream, selectorOf } from './process-stream.ts'

/** Waits for the end of a command, and passes its exit code on. */
export const wait: Command = {
  name: 'wait',
  usage: '[OPTION]... PID|TAG',
  summary: 'wait until a command has ended, and exit as it did',
  words: [1, 1],
  options: {},
  run: async ({ sandbox, words, json, write }) => {
    const message = { process: selectorOf(words[0] ?? '') }
    for await (const item of processStream(sandbox, { method: 'Connect', message, repeatable: true })) {
      if (item.kind !== 'end') continue
      const { exitCode, exited, status, error } = item
      await write(json ? `${JSON.stringify({ exitCode, exited, status, error })}\n` : `${error ?? status}\n`)
      return exitCodeOf(item)
    }
    return FAILED
  },
}
