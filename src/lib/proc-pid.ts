import { readdir, readFile } from 'node:fs/promises'

/** What proc_pid_stat(5) says of a process. */
export interface ProcessStat {
  /** Pid of the parent; 0: there is none that this pid namespace sees. */
  readonly parent: number
  /** Pid of the leader of its session. */
  readonly session: number
  /** Clock ticks since the machine's boot, in decimal digits: with the pid it names a process for good. */
  readonly startTime: string
}

/** The pids of all processes, in no order; none where /proc cannot be read. Never rejects. */
export async function listPids(): Promise<number[]> {
  const names = await readdir('/proc').catch(() => [])
  return names.filter((name) => /^\d+$/.test(name)).map(Number)
}

/**
 * The fields of proc_pid_stat(5) from the third on, the state; one empty one where there is no such process.
 * @param mode 'strict': rejects when it cannot be read, for want of descriptors or memory; else never.
 */
export async function statFieldsOf(pid: number, mode?: 'strict'): Promise<readonly string[]> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch((error: unknown) => {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (mode === 'strict' && code !== 'ENOENT' && code !== 'ESRCH') throw error
    return ''
  })
  // The name in field 2 may contain anything, also spaces and brackets.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/**
 * Undefined for a zombie, and where there is no such process.
 * @param mode as of `statFieldsOf`.
 */
export async function statOf(pid: number, mode?: 'strict'): Promise<ProcessStat | undefined> {
  const [state, parent, ...fields] = await statFieldsOf(pid, mode)
  const startTime = fields[17]
  if (startTime === undefined || state === 'Z' || state === 'X') return undefined
  return { parent: Number(parent), session: Number(fields[1]), startTime }
}

/** `ProcessStat.startTime`; undefined for a zombie, and where there is no such process. Never rejects. */
export async function startTimeOf(pid: number): Promise<string | undefined> {
  return (await statOf(pid))?.startTime
}
