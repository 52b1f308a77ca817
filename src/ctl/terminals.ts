import type { Command } from './command.ts'
import { table } from './table.ts'

/** What is shown of a terminal as JSON (`terminals.v1.TerminalInfo`); what has its zero value is left out. */
interface TerminalInfo {
  readonly pid: number
  readonly name?: string
  readonly command?: string
  readonly size?: { readonly columns: number; readonly rows: number }
  readonly clients?: number
  readonly title?: string
  readonly cwd?: string
}

const HEAD = ['PID', 'NAME', 'SIZE', 'CLIENTS', 'COMMAND', 'DIRECTORY', 'TITLE']

/** Lists what can be attached to. */
export const terminals: Command = {
  name: 'terminals',
  usage: '[OPTION]...',
  summary: 'list the terminals that live',
  words: [0, 0],
  options: { quiet: { type: 'boolean', short: 'q', help: 'names only, and the pids of those without' } },
  run: async ({ sandbox, flag, json, write }) => {
    const { terminals: all = [] } = await sandbox.call<{ terminals?: TerminalInfo[] }>(
      'terminals.v1.Terminals/List',
      {},
    )
    const nameOf = ({ name = '', pid }: TerminalInfo) => (name === '' ? String(pid) : name)
    if (json) await write(all.map((terminal) => `${JSON.stringify(terminal)}\n`).join(''))
    else if (flag('quiet')) await write(all.map((terminal) => `${nameOf(terminal)}\n`).join(''))
    else await write(table(HEAD, all.map(rowOf)))
    return 0
  },
}

function rowOf({ pid, name = '', size, clients = 0, command = '', cwd = '', title = '' }: TerminalInfo): string[] {
  const text = size === undefined ? '' : `${size.columns}x${size.rows}`
  return [String(pid), name, text, String(clients), command, cwd, title]
}
