import type { Command } from './command.ts'
import { Failure } from './failure.ts'
import { sendInput } from './input.ts'
import { type Selector, selectorOf } from './process-stream.ts'
import type { Sandbox } from './sandbox.ts'
import { showProcess } from './session.ts'
import { takeTerminal, terminalSize } from './terminal.ts'

/** Takes a terminal of the sandbox over, until the detach key. */
export const attach: Command = {
  name: 'attach',
  usage: '[OPTION]... PID|TAG',
  summary: 'take over a terminal; Ctrl-] leaves it running',
  words: [1, 1],
  options: {},
  run: async (invocation) => {
    const { sandbox, words } = invocation
    const left = new AbortController()
    let restore = () => {}
    const onStart = (pid: number) => {
      restore = takeTerminal(sandbox, pid)
      void sendInput(sandbox, { pid, kind: 'pty' }, () => left.abort()).catch(() => left.abort())
    }
    const message = { process: selectorOf(words[0] ?? '') }
    await checkTerminal(sandbox, message)
    try {
      return await showProcess(
        invocation,
        { method: 'Connect', message, repeatable: true },
        { onStart, left: left.signal },
      )
    } finally {
      restore()
    }
  },
}

/** Only a terminal has a size, which this sets. Throws Failure. */
async function checkTerminal(sandbox: Sandbox, message: { readonly process: Selector }): Promise<void> {
  try {
    await sandbox.call('process.Process/Update', { ...message, pty: { size: terminalSize() } })
  } catch (error) {
    if (error instanceof Failure && error.code === 'internal')
      throw new Failure('failed_precondition', 'it is no terminal')
    throw error
  }
}
