import type { Command, Invocation } from './command.ts'
import { exitCodeOf, FAILED } from './exit-code.ts'
import { sendKeys } from './input.ts'
import { takeTerminal, windowSize } from './terminal.ts'
import { type TerminalMessage, terminalOf, terminalStream } from './terminal-stream.ts'
import { untilAborted } from './until-aborted.ts'

/** Takes a terminal of the sandbox over, with its screen, until the detach key. */
export const attach: Command = {
  name: 'attach',
  usage: '[OPTION]... NAME|PID',
  summary: 'take over a terminal with its screen; Ctrl-] leaves it running',
  words: [1, 1],
  options: {
    open: { type: 'boolean', short: 'o', help: 'start it if there is none of that name' },
    takeover: { type: 'boolean', help: 'be the only client that writes' },
  },
  run: async (invocation) => {
    const { sandbox, words, flag, json, write } = invocation
    const wish = () => ({ takeover: flag('takeover'), ...(process.stdout.isTTY ? { size: windowSize() } : {}) })
    const target = flag('open') ? { name: words[0] } : { terminal: terminalOf(words[0]) }
    const messages = terminalStream(sandbox, { method: flag('open') ? 'Open' : 'Attach', message: target, wish })
    const left = new AbortController()
    const session = createSession(invocation, () => left.abort())
    const draw = createDrawing()
    try {
      for await (const message of untilAborted(messages, left.signal)) {
        session.take(message)
        await write(json ? `${JSON.stringify(message)}\n` : draw(message))
        if (message.end !== undefined)
          return exitCodeOf({ exitCode: 0, exited: false, status: '', error: undefined, ...message.end })
      }
      return left.signal.aborted ? 0 : FAILED
    } finally {
      await session.end()
    }
  },
}

/** What goes the other way, from the first attachment on: keys and sizes. The detach key calls `leave`. */
function createSession({ sandbox, json, write }: Invocation, leave: () => void) {
  let place: { readonly terminal: { readonly pid: number }; readonly client: number } | undefined
  let restore: (() => void) | undefined
  const send = (method: string, message: object) =>
    sandbox.call(`terminals.v1.Terminals/${method}`, { ...place, ...message })
  const key = async (data: Buffer) => {
    // What is lost on the way is not sent again, as the program may have got it. Who has taken over is heard.
    await send('Write', { data: data.toString('base64') }).catch(() => write(json ? '' : BELL))
  }
  const resize = () => {
    // The next one, or the next attachment, corrects it.
    send('Resize', { size: windowSize() }).catch(() => {})
  }
  return {
    take: ({ attached }: TerminalMessage) => {
      if (attached === undefined) return
      place = { terminal: { pid: attached.pid }, client: attached.client }
      if (restore !== undefined) return
      restore = takeTerminal(resize)
      void sendKeys(key, leave)
    },
    /** Leaves the terminal of this client as it found it. */
    end: async () => {
      if (restore !== undefined && !json) await write(AS_BEFORE)
      restore?.()
    },
  }
}

const BELL = '\x07'

/**
 * Alternate screen, mouse, focus and pastes as in a new terminal, then DECSTR, which does not
 * move the cursor.
 */
const AS_BEFORE = `${[1000, 1002, 1003, 1004, 1006, 1015, 2004, 1049].map((mode) => `\x1b[?${mode}l`).join('')}\x1b[!p\r\n`

/**
 * Makes what draws messages. Before a screen all that is shown moves up (CUP, line feeds), and the rest is
 * erased (ED).
 */
function createDrawing(): (message: TerminalMessage) => Buffer {
  let begun = false
  return ({ attached, screen, output }) => {
    const data = Buffer.from(screen?.data ?? output?.data ?? '', 'base64')
    const isFirst = screen !== undefined && !begun
    // The parts of a screen follow one another; one that was cut off begins again behind a new attachment.
    begun = attached === undefined && screen?.more === true
    if (!isFirst) return data
    const { rows } = windowSize()
    const empty = `\x1b[?1049l\x1b[!p\x1b[${rows};1H${'\n'.repeat(rows)}\x1b[H\x1b[2J`
    return Buffer.concat([Buffer.from(empty), data])
  }
}
