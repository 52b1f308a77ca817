import { readFile } from 'node:fs/promises'

/**
 * When a live process was started, in clock ticks since the machine's boot (proc_pid_stat(5), field 22): with the pid it names a process
 * for good. undefined for a zombie or nobody.
 */
export async function startTimeOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
  // The name in field 2 may contain anything, also spaces and brackets.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
}
