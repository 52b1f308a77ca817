/** `envd ctl`: a client of the daemon for people. Loaded by the launcher instead of the daemon. */
import { activity } from './activity.ts'
import { attach } from './attach.ts'
import type { Command } from './command.ts'
import { parseCommand, sandboxOf } from './command-line.ts'
import { completionOf } from './completion.ts'
import { cp } from './cp.ts'
import { FAILED } from './exit-code.ts'
import { Failure } from './failure.ts'
import { find, grep } from './file-search.ts'
import { cat, edit, ls } from './files.ts'
import { helpOf, overview } from './help.ts'
import { kill } from './kill.ts'
import { logs } from './logs.ts'
import { ports } from './ports.ts'
import { ps } from './ps.ts'
import { record } from './record.ts'
import { run } from './run.ts'
import { sync } from './sync.ts'
import { terminals } from './terminals.ts'
import { top } from './top.ts'
import { chmod, chown, du } from './tree-calls.ts'
import { upgrade } from './upgrade.ts'
import { wait } from './wait.ts'
import { watch } from './watch.ts'

const USAGE = 2

const CALLS: readonly Command[] = [
  ...[run, ps, logs, wait, kill],
  ...[attach, record, terminals],
  ...[top, activity, ports, watch],
  ...[ls, cat, cp, sync, find, grep, edit, du, chmod, chown],
  upgrade,
]
const COMMANDS: readonly Command[] = [...CALLS, completionOf(CALLS)]

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader has closed the pipe: `envd ctl logs | head`.
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})
void main(process.argv.slice(2)).then((code) => process.exit(code))

async function main([name, ...args]: readonly string[]): Promise<number> {
  const command = COMMANDS.find((one) => one.name === name)
  if (command === undefined) {
    const asked = name === undefined || ['help', '--help', '-h'].includes(name)
    await (asked ? write(overview(COMMANDS)) : writeStderr(`no command ${name}\n${overview(COMMANDS)}`))
    return asked ? 0 : USAGE
  }
  try {
    const parsed = parseCommand(command, args)
    if (parsed.flag('help')) return await write(helpOf(command)).then(() => 0)
    return await command.run({ ...parsed, sandbox: sandboxOf(parsed, process.env), write })
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    await writeStderr(`${error.message}\n`)
    return error.code === 'usage' ? USAGE : FAILED
  }
}

function write(text: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => process.stdout.write(text, () => resolve()))
}

function writeStderr(text: string): Promise<void> {
  return new Promise((resolve) => process.stderr.write(`envd ctl: ${text}`, () => resolve()))
}
