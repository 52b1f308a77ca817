import type { Command } from './command.ts'
import { reopened } from './reopened.ts'
import { printable } from './table.ts'

/** What is shown of the activity as JSON (`activity.v1.Status`); what has its zero value is left out. */
interface Status {
  readonly busy?: boolean
  readonly since?: string
  readonly idleSeconds?: number
  readonly reasons?: readonly Reason[]
  readonly moreReasons?: number
}

interface Reason {
  readonly kind?: string
  readonly pid?: number
  readonly tag?: string
  readonly command?: string
  readonly reader?: { readonly method?: string; readonly userAgent?: string; readonly address?: string }
  readonly port?: number
  readonly connections?: number
  readonly transfers?: number
}

/** Shows whether the sandbox is in use, and why. */
export const activity: Command = {
  name: 'activity',
  usage: '[OPTION]...',
  summary: 'say whether the sandbox is busy or idle, since when, and why',
  words: [0, 0],
  options: { follow: { type: 'boolean', short: 'f', help: 'and what changes' } },
  run: async ({ sandbox, flag, json, write }) => {
    const show = (status: Status) => write(json ? `${JSON.stringify(status)}\n` : textOf(status))
    if (!flag('follow')) {
      const { status } = await sandbox.call<{ status: Status }>('activity.v1.Activity/Get', {})
      await show(status)
      return 0
    }
    const open = () => sandbox.stream<{ status?: Status }>('activity.v1.Activity/Watch', {})
    for await (const { status } of reopened(open)) if (status !== undefined) await show(status)
    return 0
  },
}

function textOf({ busy = false, since = '', idleSeconds = 0, reasons = [], moreReasons = 0 }: Status): string {
  const head = busy ? `busy since ${since}` : `idle since ${since} (${Math.floor(idleSeconds)} s)`
  const more = moreReasons > 0 ? [`${moreReasons} more`] : []
  return [head, ...reasons.map(reasonText), ...more].map((line, index) => `${index > 0 ? '  ' : ''}${line}\n`).join('')
}

/** `stream  pid 812 (build) bash, read by process.Process/Start, e2b-js-sdk, 10.0.0.7`. */
function reasonText({
  kind = '',
  pid,
  tag,
  command = '',
  reader,
  port,
  connections = 0,
  transfers = 0,
}: Reason): string {
  const words = [
    ...(pid === undefined ? [] : [`pid ${pid}${tag === undefined ? '' : ` (${tag})`} ${command}`]),
    ...(reader === undefined ? [] : [`read by ${[reader.method, reader.userAgent, reader.address].join(', ')}`]),
    ...(port === undefined ? [] : [`port ${port}, ${connections} connections`]),
    ...(transfers === 0 ? [] : [`${transfers} transfers`]),
  ]
  return printable(`${kind.replace('KIND_', '').toLowerCase().padEnd(8)}  ${words.join(', ')}`)
}
