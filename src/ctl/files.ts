import type { Command, Invocation } from './command.ts'
import { Failure } from './failure.ts'
import { harmless, table } from './table.ts'

/** An entry as JSON (`filesystem.EntryInfo`). */
interface Entry {
  readonly name?: string
  readonly permissions?: string
  readonly owner?: string
  readonly group?: string
  readonly size?: string
  readonly modifiedTime?: string
  readonly symlinkTarget?: string
}

/** Lists a directory. */
export const ls: Command = {
  name: 'ls',
  usage: '[OPTION]... [DIRECTORY]',
  summary: 'list a directory',
  words: [0, 1],
  options: {},
  run: async ({ sandbox, words, json, write }) => {
    const request = { path: words[0] ?? '', depth: 1 }
    const { entries = [] } = await sandbox.call<{ entries?: Entry[] }>('filesystem.Filesystem/ListDir', request)
    if (json) await write(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
    else await write(table(['MODE', 'OWNER', 'GROUP', 'SIZE', 'MODIFIED', 'NAME'], entries.map(rowOf)))
    return 0
  },
}

function rowOf({ permissions = '', owner = '', group = '', size = '0', ...entry }: Entry): string[] {
  const { name = '', modifiedTime = '', symlinkTarget } = entry
  const shown = symlinkTarget === undefined ? name : `${name} -> ${symlinkTarget}`
  return [permissions, owner, group, size, modifiedTime.slice(0, 19).replace('T', ' '), shown]
}

/** Shows a file, byte by byte. */
export const cat: Command = {
  name: 'cat',
  usage: '[OPTION]... FILE...',
  summary: 'write files to standard output as they are',
  words: [1, Number.POSITIVE_INFINITY],
  options: {},
  run: async ({ sandbox, words, write }) => {
    for (const path of words) for await (const chunk of sandbox.download(path)) await write(chunk)
    return 0
  },
}

/** Edits a file. */
export const edit: Command = {
  name: 'edit',
  usage: '[OPTION]... FILE',
  summary: 'replace text in a file, or its whole content by standard input, in one step; show the diff',
  words: [1, 1],
  options: {
    old: { type: 'string', value: 'TEXT', help: 'what is replaced: it must be there once; default the whole content' },
    new: { type: 'string', value: 'TEXT', help: 'what it is replaced by; default nothing' },
    all: { type: 'boolean', short: 'a', help: 'wherever the old text is' },
    'dry-run': { type: 'boolean', short: 'n', help: 'only show what would change' },
  },
  run: async (invocation) => {
    const { sandbox, words, flag, json, write } = invocation
    const request = { files: [{ path: words[0], ...(await changeOf(invocation)) }], dryRun: flag('dry-run') }
    const answer = await sandbox.call<{
      readonly files?: readonly { readonly diff?: string; readonly diffLeftOut?: boolean; readonly path?: string }[]
    }>('files.v1.Files/Edit', request)
    if (json) await write(`${JSON.stringify(answer)}\n`)
    for (const { diff = '', diffLeftOut, path } of json ? [] : (answer.files ?? []))
      await write(diffLeftOut === true ? harmless(`${path ?? ''} changed; no diff\n`) : harmless(diff))
    return 0
  },
}

/** Bytes of a whole content: as much as an edit takes, in base64. */
const MAX_CONTENT_BYTES = 8 * 1024 * 1024

async function changeOf({ text, flag }: Invocation) {
  const [oldText, newText = ''] = [text('old'), text('new')]
  if (oldText !== undefined)
    return { replacements: { replacements: [{ oldText, newText, ...(flag('all') ? { all: true } : {}) }] } }
  if (text('new') !== undefined || flag('all')) throw new Failure('usage', '--new and --all need --old')
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of process.stdin) {
    chunks.push(chunk as Buffer)
    bytes += (chunk as Buffer).length
    if (bytes > MAX_CONTENT_BYTES) throw new Failure('usage', `standard input has more than ${MAX_CONTENT_BYTES} bytes`)
  }
  return { content: Buffer.concat(chunks).toString('base64') }
}
