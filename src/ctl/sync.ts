import { resolve } from 'node:path'
import type { Command, Invocation } from './command.ts'
import { Failure } from './failure.ts'
import { INTERRUPTED, interrupted } from './interrupted.ts'
import { type Moved, showProgress } from './progress.ts'
import { repeated } from './reopened.ts'
import type { Sandbox } from './sandbox.ts'
import { writeError } from './session.ts'
import { printable, sizeText } from './table.ts'

/** What is made the same, and how. */
export interface SyncOptions {
  readonly sandbox: Sandbox
  /** Absolute. */
  readonly local: string
  readonly remote: string
  /** Patterns as in a .gitignore. */
  readonly exclude: readonly string[]
  /** Also what the .gitignore files of the local tree say. */
  readonly gitignore: boolean
  /** What the source has not goes. */
  readonly remove: boolean
  readonly moved: Moved
  readonly signal: AbortSignal
}

/** What was done: paths below the directory. */
export interface Synced {
  readonly sent: readonly string[]
  readonly removed: readonly string[]
  readonly bytes: number
  readonly leftOut: readonly string[]
}

/** What could not be sent. */
const LEFT_OUT = 1

/** Makes a directory as another, by what differs. */
export const sync: Command = {
  name: 'sync',
  usage: '[OPTION]... SOURCE DESTINATION',
  summary: 'make a directory as another, one of them in the sandbox, by what differs',
  words: [2, 2],
  options: {
    watch: { type: 'boolean', short: 'w', help: 'and go on with what changes here' },
    delete: { type: 'boolean', help: 'remove what is not in the source' },
    exclude: { type: 'string', multiple: true, value: 'PATTERN', help: 'leave alone what matches, as in a .gitignore' },
    gitignore: { type: 'boolean', help: 'leave alone .git and what the .gitignore files of the source say' },
  },
  run: async (invocation) => {
    const [source = '', destination = ''] = invocation.words
    const [from, to] = [source.startsWith(':'), destination.startsWith(':')]
    if (from === to) throw new Failure('usage', 'one of both is in the sandbox: its path begins with ":"')
    const { flag } = invocation
    if (from && (flag('watch') || flag('gitignore')))
      throw new Failure('usage', '--watch and --gitignore are for a source on this machine')
    const remote = (from ? source : destination).slice(1).replace(/(?<=.)\/+$/, '')
    const local = resolve(from ? destination : source)
    if (remote === '' || (from ? destination : source) === '') throw new Failure('usage', 'a path must not be empty')
    const interrupt = interrupted()
    try {
      return await synchronize(invocation, { local, remote, signal: interrupt.signal }, from)
    } catch (error) {
      if (interrupt.signal.aborted) return INTERRUPTED
      throw error
    } finally {
      interrupt.forget()
    }
  },
}

async function synchronize(
  invocation: Invocation,
  places: Pick<SyncOptions, 'local' | 'remote' | 'signal'>,
  down: boolean,
): Promise<number> {
  const { sandbox, flag, texts } = invocation
  const how = { exclude: texts('exclude'), gitignore: flag('gitignore'), remove: flag('delete') }
  const shown = async (work: (options: SyncOptions) => Promise<Synced>) => {
    const progress = showProgress(places.local)
    try {
      return await work({ sandbox, ...places, ...how, moved: progress.moved })
    } finally {
      progress.end()
    }
  }
  const { syncOnce } = await import('./sync-once.ts')
  if (!flag('watch')) {
    const synced = await repeated(() => shown((options) => syncOnce(options, down)))
    await report(invocation, synced)
    return synced.leftOut.length > 0 ? LEFT_OUT : 0
  }
  const { syncAlong } = await import('./sync-along.ts')
  await syncAlong({
    ...{ ...places, exclude: how.exclude, shown },
    onSynced: (synced) => report(invocation, synced),
    onTrouble: (message) => writeError(`envd ctl: ${message}\n`),
  })
  return INTERRUPTED
}

async function report({ json, write }: Invocation, { sent, removed, bytes, leftOut }: Synced): Promise<void> {
  if (json) await write(`${JSON.stringify({ sent, removed, bytes, leftOut })}\n`)
  else if (sent.length + removed.length > 0)
    await write(`${namesOf(sent)}: ${sizeText(bytes)}${removed.length > 0 ? `; removed ${namesOf(removed)}` : ''}\n`)
  if (leftOut.length > 0) await writeError(`envd ctl: left out: ${leftOut.map(printable).join(', ')}\n`)
}

/** One by name, more by number. */
function namesOf(paths: readonly string[]): string {
  return paths.length === 1 ? printable(paths[0] ?? '') : `${paths.length} entries`
}
