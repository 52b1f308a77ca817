import { open } from 'node:fs/promises'
import type { Command, Invocation } from './command.ts'
import { Failure } from './failure.ts'
import { reopened } from './reopened.ts'
import { terminalOf } from './terminal-stream.ts'
import { untilAborted } from './until-aborted.ts'

/** Writes a recording of a terminal. */
export const record: Command = {
  name: 'record',
  usage: '[OPTION]... NAME|PID FILE',
  summary: 'record a terminal as an asciicast v2, to its end or an interrupt; FILE may be -',
  words: [2, 2],
  options: { overwrite: { type: 'boolean', help: 'replace FILE if there is one' } },
  run: async (invocation) => {
    const { words, json, write } = invocation
    const [, name = ''] = words
    const { append, close } = name === '-' ? { append: write, close: async () => {} } : await opened(invocation, name)
    const interrupted = new AbortController()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort())
    let count = 0
    try {
      for await (const line of untilAborted(recording(invocation), interrupted.signal)) {
        await append(line)
        count += 1
      }
    } finally {
      await close()
    }
    // The first line is the header.
    if (json && name !== '-') await write(`${JSON.stringify({ file: name, events: Math.max(0, count - 1) })}\n`)
    return 0
  },
}

async function opened({ flag }: Invocation, name: string) {
  try {
    const file = await open(name, flag('overwrite') ? 'w' : 'wx')
    return { append: (line: string) => file.writeFile(line), close: () => file.close() }
  } catch (error) {
    throw new Failure('usage', `the file cannot be written: ${error instanceof Error ? error.message : error}`)
  }
}

/** RIS: a screen that is drawn anew needs an empty terminal. */
const EMPTY = '\x1bc'

/**
 * The lines of a recording with their ends. After a cut a new one is begun, which goes on with the times of the
 * first and draws the screen anew. Throws Failure.
 */
async function* recording({ sandbox, words }: Invocation): AsyncGenerator<string, void> {
  const began = performance.now()
  const open = async function* () {
    const shift = headed ? (performance.now() - began) / 1000 : 0
    let first = true
    const messages = sandbox.stream<{ readonly line?: string }>('terminals.v1.Terminals/Record', {
      terminal: terminalOf(words[0]),
    })
    for await (const { line } of messages) {
      if (line === undefined) continue
      const text = Buffer.from(line, 'base64').toString()
      const isHeader = text.startsWith('{')
      if (!isHeader) yield shift === 0 ? text : shifted(text, shift, first)
      if (!isHeader) first = false
      else if (!headed) yield text
      if (isHeader) headed = true
    }
  }
  let headed = false
  yield* reopened(open)
}

function shifted(line: string, seconds: number, first: boolean): string {
  // What the daemon writes.
  const [time, code, data] = JSON.parse(line) as [number, string, string]
  const later = Math.round((time + seconds) * 1e6) / 1e6
  return `${JSON.stringify([later, code, first ? `${EMPTY}${data}` : data])}\n`
}
