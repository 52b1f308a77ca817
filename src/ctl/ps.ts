import type { Command } from './command.ts'
import type { Sandbox } from './sandbox.ts'
import { table } from './table.ts'

/** A running process as JSON (`ProcessInfo`). */
export interface ProcessInfo {
  readonly pid: number
  readonly tag?: string
  readonly config?: { readonly cmd?: string; readonly args?: readonly string[]; readonly cwd?: string }
}

/** Lists what runs. */
export const ps: Command = {
  name: 'ps',
  usage: '[OPTION]...',
  summary: 'list the commands that run',
  words: [0, 0],
  options: { quiet: { type: 'boolean', short: 'q', help: 'pids only' } },
  run: async ({ sandbox, json, flag, write }) => {
    const processes = await listProcesses(sandbox)
    if (json) await write(processes.map((process) => `${JSON.stringify(process)}\n`).join(''))
    else if (flag('quiet')) await write(processes.map(({ pid }) => `${pid}\n`).join(''))
    else await write(table(['PID', 'TAG', 'COMMAND'], processes.map(rowOf)))
    return 0
  },
}

/** What runs, oldest first. Throws Failure. */
export async function listProcesses(sandbox: Sandbox): Promise<readonly ProcessInfo[]> {
  const { processes = [] } = await sandbox.call<{ processes?: ProcessInfo[] }>('process.Process/List', {})
  return processes
}

/** The columns PID, TAG and COMMAND. */
export function rowOf({ pid, tag = '', config = {} }: ProcessInfo): string[] {
  return [String(pid), tag, [config.cmd ?? '', ...(config.args ?? [])].join(' ')]
}
