import type { Command } from './command.ts'
import { reopened } from './reopened.ts'
import { writeError } from './session.ts'
import { printable } from './table.ts'

/** A change as JSON (`filesystem.WatchDirResponse`). */
interface Change {
  readonly start?: unknown
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
    let starts = 0
    const open = () => sandbox.stream<Change>('filesystem.Filesystem/WatchDir', message)
    for await (const { start, filesystem } of reopened(open)) {
      if (start !== undefined && starts++ > 0)
        await writeError('envd ctl: the connection broke: changes may have been missed\n')
      if (filesystem === undefined) continue
      const { name = '', type = '' } = filesystem
      const kind = type.replace('EVENT_TYPE_', '').toLowerCase()
      await write(json ? `${JSON.stringify(filesystem)}\n` : `${kind.padEnd(6)}  ${printable(name)}\n`)
    }
    return 0
  },
}
