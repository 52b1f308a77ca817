import type { Command } from './command.ts'
import { reopened } from './reopened.ts'
import { table } from './table.ts'

/** A listening socket as JSON (`ports.Listener`). */
interface Listener {
  readonly port?: number
  readonly address?: string
  readonly pid?: number
  readonly command?: string
  readonly state?: string
}

/** What changed as JSON (`ports.WatchResponse`). */
interface Change {
  readonly snapshot?: { readonly listeners?: readonly Listener[] }
  readonly opened?: Listener
  readonly closed?: Listener
  readonly changed?: Listener
  readonly keepalive?: unknown
}

const HEAD = ['PORT', 'ADDRESS', 'PID', 'COMMAND', 'STATE']

/** Lists the ports that are listened on, and whether they can be reached. */
export const ports: Command = {
  name: 'ports',
  usage: '[OPTION]...',
  summary: 'list the ports that are listened on, and whether they can be reached',
  words: [0, 0],
  options: { follow: { type: 'boolean', short: 'f', help: 'and what changes' } },
  run: async ({ sandbox, flag, json, write }) => {
    if (!flag('follow')) {
      const { listeners = [] } = await sandbox.call<{ listeners?: Listener[] }>('ports.Ports/List', {})
      if (json) await write(listeners.map((listener) => `${JSON.stringify(listener)}\n`).join(''))
      else await write(table(HEAD, listeners.map(rowOf)))
      return 0
    }
    for await (const change of reopened(() => sandbox.stream<Change>('ports.Ports/Watch', {}))) {
      if (change.keepalive !== undefined) continue
      await write(json ? `${JSON.stringify(change)}\n` : textOf(change))
    }
    return 0
  },
}

function rowOf({ port = 0, address = '', pid = 0, command = '', state = '' }: Listener): string[] {
  return [String(port), address, pid === 0 ? '' : String(pid), command, state]
}

function textOf({ snapshot, opened, closed, changed }: Change): string {
  if (snapshot !== undefined) return table(HEAD, (snapshot.listeners ?? []).map(rowOf))
  const said = Object.entries({ opened, closed, changed }).filter(([, listener]) => listener !== undefined)
  return said.map(([what, listener]) => `${[what, ...rowOf(listener ?? {})].join('  ')}\n`).join('')
}
