import type { Command, Invocation, Option } from './command.ts'
import { numberOf } from './command-line.ts'
import { Failure } from './failure.ts'
import { INTERRUPTED, interrupted } from './interrupted.ts'
import { showProgress } from './progress.ts'
import { writeError } from './session.ts'
import { printable, sizeText } from './table.ts'
import { untilAborted } from './until-aborted.ts'

/** What a call has left out. */
const LEFT_OUT = 1

/** A summary as JSON, of `SetAttributes` and `DiskUsage`. */
interface Summary {
  readonly leftOut?: string
  readonly leftOutPaths?: readonly string[]
}

/** A message of these streams as JSON. */
interface Message {
  readonly progress?: { readonly entries?: string; readonly bytes?: string }
  readonly usage?: { readonly path?: string; readonly bytes?: string }
  readonly summary?: Summary
}

/** Shows what directories of the sandbox take. */
export const du: Command = {
  name: 'du',
  usage: '[OPTION]... [PATH]',
  summary: 'show what a directory takes on the disk, and those in it',
  words: [0, 1],
  options: {
    depth: { type: 'string', short: 'd', value: 'N', help: 'levels below the path that are shown; default 0' },
    'one-filesystem': { type: 'boolean', short: 'x', help: 'pass over what is mounted' },
    bytes: { type: 'boolean', short: 'b', help: 'numbers of bytes' },
  },
  run: (invocation) => {
    const { words, text, flag, json, write } = invocation
    const [path = '.'] = words
    const depth = numberOf(text('depth'), '--depth', 0) ?? 0
    const request = { path, depth, oneFilesystem: flag('one-filesystem') }
    const nameOf = (below = '') => (below === '' ? path : `${path.replace(/\/$/, '')}/${below}`)
    return follow(invocation, { method: 'DiskUsage', request, what: path }, async ({ usage }) => {
      if (usage === undefined || json) return
      const size = flag('bytes') ? (usage.bytes ?? '0') : sizeText(Number(usage.bytes ?? 0))
      await write(`${size.padStart(10)}  ${printable(nameOf(usage.path))}\n`)
    })
  },
}

const RECURSIVE: Option = { type: 'boolean', short: 'R', help: 'also all that is in a directory, through no link' }

/** Sets permissions in the sandbox. */
export const chmod: Command = {
  name: 'chmod',
  usage: '[OPTION]... MODE PATH...',
  summary: 'set permissions, as octal digits',
  words: [2, Number.POSITIVE_INFINITY],
  options: {
    recursive: RECURSIVE,
    directories: { type: 'string', short: 'd', value: 'MODE', help: 'of directories, instead of MODE' },
  },
  run: (invocation) => {
    const [mode = '', ...paths] = invocation.words
    const directories = invocation.text('directories')
    const modes = { mode: modeOf(mode), ...(directories === undefined ? {} : { directoryMode: modeOf(directories) }) }
    return setAll(invocation, paths, modes)
  },
}

/** Sets owners in the sandbox. */
export const chown: Command = {
  name: 'chown',
  usage: '[OPTION]... USER[:GROUP]|:GROUP PATH...',
  summary: 'set owner and group, by name or number; as root',
  words: [2, Number.POSITIVE_INFINITY],
  options: { recursive: RECURSIVE },
  run: (invocation) => {
    const [owner = '', ...paths] = invocation.words
    const [user = '', group = '', ...rest] = owner.split(':')
    if ((user === '' && group === '') || rest.length > 0) throw new Failure('usage', `no USER:GROUP: ${owner}`)
    return setAll(invocation, paths, { ...(user === '' ? {} : { user }), ...(group === '' ? {} : { group }) })
  },
}

function modeOf(text: string): number {
  if (!/^[0-7]{1,5}$/.test(text)) throw new Failure('usage', `a mode is octal digits: ${text}`)
  return Number.parseInt(text, 8)
}

async function setAll(invocation: Invocation, paths: readonly string[], attributes: object): Promise<number> {
  const recursive = invocation.flag('recursive')
  let code = 0
  for (const path of paths) {
    const call = { method: 'SetAttributes' as const, request: { path, recursive, ...attributes }, what: path }
    code = Math.max(code, await follow(invocation, call, async () => {}))
  }
  return code
}

interface TreeCall {
  readonly method: 'DiskUsage' | 'SetAttributes'
  readonly request: object
  /** What it is about, for the line that shows how far it is. */
  readonly what: string
}

/** Runs a call to its end, with the line on a terminal; the exit code. Throws Failure. */
async function follow(
  { sandbox, json, write }: Invocation,
  { method, request, what }: TreeCall,
  take: (message: Message) => Promise<void>,
): Promise<number> {
  const interrupt = interrupted()
  const progress = showProgress(what)
  try {
    const messages = sandbox.stream<Message>(`files.v1.Files/${method}`, request)
    for await (const message of untilAborted(messages, interrupt.signal)) {
      progress.moved.files = Number(message.progress?.entries ?? 0)
      progress.moved.bytes = Number(message.progress?.bytes ?? 0)
      if (message.progress !== undefined) continue
      progress.end()
      if (json) await write(`${JSON.stringify(message)}\n`)
      await take(message)
      if (message.summary !== undefined) return await leftOutCode(what, message.summary)
    }
    if (interrupt.signal.aborted) return INTERRUPTED
    throw new Failure('lost', `${method} has no end`)
  } finally {
    progress.end()
    interrupt.forget()
  }
}

async function leftOutCode(what: string, { leftOut = '0', leftOutPaths = [] }: Summary): Promise<number> {
  if (leftOut === '0') return 0
  const names = leftOutPaths.map((path) => printable(path === '' ? what : path)).join(', ')
  await writeError(`envd ctl: ${leftOut} left out: ${names}\n`)
  return LEFT_OUT
}
