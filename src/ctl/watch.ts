import type { Command } from './command.ts'
import { printable } from './table.ts'

/** A change as JSON (`filesystem.WatchDirResponse`). */
interface Change {
  readonly filesystem?: { readonly name?: string; readonly type?: string }
}

/** `envd ctl watch`: prints what changes in a directory. */
export const watch: Command = {
  name: 'watch',
  usage: '[OPTION]... DIRECTORY',
  summary: 'print what changes in a directory',
  words: [1, 1],
  options: { recursive: { type: 'boolean', short: 'r', help: 'and in all below it' } },
  run: async ({ sandbox, words, flag, json, write }) => {
    const message = { path: words[0], recursive: flag('recursive') }
    for await (const { filesystem } of sandbox.stream<Change>('filesystem.Filesystem/WatchDir', message)) {
      if (filesystem === undefined) continue
      const { name = '', type = '' } = filesystem
      const kind = type.replace('EVENT_TYPE_', '').toLowerCase()
      await write(json ? `${JSON.stringify(filesystem)}\n` : `${kind.padEnd(6)}  ${printable(name)}\n`)
    }
    return 0
  },
}
