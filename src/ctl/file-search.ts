import type { Command, Invocation, Option } from './command.ts'
import { numberOf } from './command-line.ts'
import { writeError } from './session.ts'
import { harmless } from './table.ts'

/** Options that say which files. */
const SCOPE: Readonly<Record<string, Option>> = {
  glob: {
    type: 'string',
    short: 'g',
    value: 'GLOB',
    multiple: true,
    help: 'only such files; with ! before it none such',
  },
  gitignore: { type: 'boolean', help: 'leave out what .gitignore files say' },
  hidden: { type: 'boolean', help: 'also names that begin with a dot' },
  depth: { type: 'string', value: 'N', help: 'levels below the directory' },
  limit: { type: 'string', value: 'N', help: 'at most so many; default 1000' },
}

function scopeOf({ texts, text, flag }: Invocation) {
  const depth = numberOf(text('depth'), '--depth')
  return { globs: texts('glob'), gitignore: flag('gitignore'), hidden: flag('hidden'), depth }
}

/** Why a search has not found all, as its summary says. */
interface Incomplete {
  readonly truncated?: boolean
  readonly unreadable?: boolean
}

/** Finds files. */
export const find: Command = {
  name: 'find',
  usage: '[OPTION]... [DIRECTORY]',
  summary: 'list the files below a directory, in any order',
  words: [0, 1],
  options: SCOPE,
  run: async (invocation) => {
    const { sandbox, words, text, json, write } = invocation
    const limit = numberOf(text('limit'), '--limit')
    const request = { path: words[0] ?? '', scope: scopeOf(invocation), limit }
    for await (const message of sandbox.stream<{
      readonly file?: { readonly path?: string }
      readonly summary?: Incomplete
    }>('files.v1.Files/Find', request)) {
      if (json) await write(`${JSON.stringify(message)}\n`)
      else if (message.file !== undefined) await write(`${harmless(message.file.path ?? '')}\n`)
      else if (message.summary !== undefined) await warn(message.summary)
    }
    return 0
  },
}

/** A message of `files.v1.Files/Grep` as JSON. */
interface Line {
  readonly line?: {
    readonly path?: string
    readonly number?: string
    readonly text?: string
    readonly context?: boolean
  }
  readonly file?: { readonly path?: string; readonly matchingLines?: string }
  readonly summary?: Incomplete & { readonly matchingLines?: string }
}

/** Searches in files. */
export const grep: Command = {
  name: 'grep',
  usage: '[OPTION]... PATTERN [PATH]',
  summary: 'show the lines that match a regular expression; exit code 1 if none does',
  words: [1, 2],
  options: {
    'ignore-case': { type: 'boolean', short: 'i', help: 'small and capital letters are the same' },
    'fixed-strings': { type: 'boolean', short: 'F', help: 'the pattern is plain text' },
    'word-regexp': { type: 'boolean', short: 'w', help: 'whole words only' },
    context: { type: 'string', short: 'C', value: 'N', help: 'and so many lines before and behind' },
    count: { type: 'boolean', short: 'c', help: 'only the number of each file' },
    ...SCOPE,
  },
  run: async (invocation) => {
    const { sandbox, json, write } = invocation
    let lines = 0
    for await (const message of sandbox.stream<Line>('files.v1.Files/Grep', grepRequest(invocation))) {
      lines = Number(message.summary?.matchingLines ?? lines)
      if (json) await write(`${JSON.stringify(message)}\n`)
      else await write(textOf(message, invocation.flag('count')))
      if (!json && message.summary !== undefined) await warn(message.summary)
    }
    return lines > 0 ? 0 : 1
  },
}

function grepRequest(invocation: Invocation) {
  const { words, text, flag } = invocation
  const context = numberOf(text('context'), '--context', 0)
  return {
    pattern: words[0],
    path: words[1] ?? '',
    case: flag('ignore-case') ? 'CASE_INSENSITIVE' : 'CASE_SENSITIVE',
    ...{ fixed: flag('fixed-strings'), word: flag('word-regexp'), count: flag('count') },
    ...{ before: context, after: context, scope: scopeOf(invocation), limit: numberOf(text('limit'), '--limit') },
  }
}

function textOf({ line, file }: Line, count: boolean): string {
  if (file !== undefined && count) return `${harmless(file.path ?? '')}:${file.matchingLines ?? 0}\n`
  if (line === undefined) return ''
  const mark = line.context === true ? '-' : ':'
  return harmless(`${line.path ?? ''}${mark}${line.number ?? 0}${mark}${line.text ?? ''}\n`)
}

async function warn({ truncated, unreadable }: Incomplete): Promise<void> {
  if (truncated === true) await writeError('envd ctl: there are more; see --limit\n')
  if (unreadable === true) await writeError('envd ctl: some files or directories could not be read\n')
}
