import type { Command, Option } from './command.ts'
import { COMMON } from './command-line.ts'

/** What `envd ctl` can, one command in a line. */
export function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length))
  const lines = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`)
  return `usage: envd ctl COMMAND [OPTION]...\n\n${lines.join('\n')}\n\nenvd ctl COMMAND --help shows its options.\n`
}

/** The help of one command. */
export function helpOf({ name, usage, summary, options }: Command): string {
  const entries = Object.entries({ ...options, ...COMMON }).map(([long, option]) => [
    namesOf(long, option),
    option.help,
  ])
  const width = Math.max(...entries.map(([names = '']) => names.length))
  const lines = entries.map(([names = '', help]) => `  ${names.padEnd(width)}  ${help}`)
  return `usage: envd ctl ${name} ${usage}\n\n${summary}\n\n${lines.join('\n')}\n`
}

function namesOf(long: string, { short, value }: Option): string {
  const names = short === undefined ? `    --${long}` : `-${short}, --${long}`
  return value === undefined ? names : `${names} ${value}`
}
