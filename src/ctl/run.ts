import type { Command, Invocation } from './command.ts'
import { Failure } from './failure.ts'
import { sendInput, sendKeys } from './input.ts'
import { showProcess, startDetached } from './session.ts'
import { takeTerminal, windowSize } from './terminal.ts'

/** Headers of a start, by the option that sets them. */
const HEADERS = {
  key: 'idempotency-key',
  'memory-max': 'command-memory-max',
  'pids-max': 'command-pids-max',
  'cpu-max': 'command-cpu-max',
  'output-max': 'command-output-max',
} as const

/** Runs a command in the sandbox, and passes output, input and exit code on. */
export const run: Command = {
  name: 'run',
  usage: '[OPTION]... COMMAND [ARGUMENT]...',
  summary: 'run a command, with its output as it comes and its exit code',
  words: [1, Number.POSITIVE_INFINITY],
  trailing: true,
  options: {
    stdin: { type: 'boolean', short: 'i', help: 'pass standard input on' },
    tty: { type: 'boolean', short: 't', help: 'in a terminal' },
    detach: { type: 'boolean', short: 'd', help: 'print the pid, and leave it running' },
    tag: { type: 'string', value: 'TAG', help: 'a name for it' },
    cwd: { type: 'string', short: 'w', value: 'DIRECTORY', help: 'where it runs' },
    env: { type: 'string', short: 'e', multiple: true, value: 'NAME=VALUE', help: 'a variable; can be repeated' },
    key: { type: 'string', value: 'KEY', help: 'the same key again attaches to the same command, and starts none' },
    'memory-max': { type: 'string', value: 'BYTES', help: 'limit of its memory' },
    'pids-max': { type: 'string', value: 'N', help: 'limit of its processes' },
    'cpu-max': { type: 'string', value: 'CPUS', help: 'limit of its CPU time' },
    'output-max': { type: 'string', value: 'BYTES', help: 'limit of each output stream' },
  },
  run: async (invocation) => {
    const { sandbox, flag, text } = invocation
    const terminal = flag('tty')
    const headers = Object.fromEntries(Object.entries(HEADERS).map(([option, header]) => [header, text(option)]))
    let restore = () => {}
    const onStart = (pid: number) => {
      passSignals(invocation, pid)
      if (terminal) restore = passTerminal(invocation, pid)
      else if (flag('stdin')) sendInput(sandbox, pid).catch(reportError)
    }
    const beginning = {
      method: 'Start',
      message: messageOf(invocation),
      headers,
      repeatable: text('key') !== undefined,
    } as const
    if (flag('detach')) return startDetached(invocation, beginning)
    try {
      return await showProcess(invocation, beginning, onStart)
    } finally {
      restore()
    }
  },
}

function messageOf({ words, flag, text, texts }: Invocation): unknown {
  const [cmd = '', ...args] = words
  return {
    process: { cmd, args, envs: Object.fromEntries(texts('env').map(variableOf)), cwd: text('cwd') },
    tag: text('tag'),
    stdin: flag('stdin'),
    ...(flag('tty') ? { pty: ptySize() } : {}),
  }
}

function variableOf(assignment: string): [string, string] {
  const at = assignment.indexOf('=')
  if (at < 1) throw new Failure('usage', `no NAME=VALUE: ${assignment}`)
  return [assignment.slice(0, at), assignment.slice(at + 1)]
}

function ptySize() {
  const { columns: cols, rows } = windowSize()
  return { size: { cols, rows } }
}

/** Passes keys and changes of size on; the caller calls the function returned to have the terminal as it was. */
function passTerminal({ sandbox }: Invocation, pid: number): () => void {
  const resize = () => {
    // The next one corrects it.
    sandbox.call('process.Process/Update', { process: { pid }, pty: ptySize() }).catch(() => {})
  }
  const restore = takeTerminal(resize)
  resize()
  sendKeys((data) => sandbox.call('jobs.v1.Jobs/Write', { job: { pid }, data: data.toString('base64') })).catch(
    reportError,
  )
  return restore
}

/** The first interrupt asks the command to end, the next one kills it. */
function passSignals({ sandbox }: Invocation, pid: number): void {
  let count = 0
  const send = () => {
    count += 1
    const signal = count === 1 ? 'SIGNAL_SIGTERM' : 'SIGNAL_SIGKILL'
    sandbox.call('process.Process/SendSignal', { process: { pid }, signal }).catch(reportError)
  }
  process.on('SIGINT', send)
  process.on('SIGTERM', send)
}

function reportError(error: unknown): void {
  process.stderr.write(`envd ctl: ${error instanceof Error ? error.message : error}\n`)
}
