import { readdir, readFile } from 'node:fs/promises'

/** Whether a process of that number runs; a zombie does not. */
export async function alive(pid: number): Promise<boolean> {
  const state = await stateOf(pid)
  return state !== '' && state !== 'Z' && state !== 'X'
}

/** State letter of proc(5); empty where there is no such process. */
export async function stateOf(pid: number): Promise<string> {
  return (await statFields(pid))[0] ?? ''
}

/** Processor time that the process has used, in seconds. */
export async function cpuSeconds(pid: number): Promise<number> {
  const fields = await statFields(pid)
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** Bytes that the process has handed to write(2) so far. */
export async function writtenBytes(pid: number): Promise<number> {
  const io = await readFile(`/proc/${pid}/io`, 'utf8')
  return Number(/^wchar: (\d+)/m.exec(io)?.[1])
}

/** VmRSS, in MB. */
export async function residentMegabytes(pid: number): Promise<number> {
  return (await statusNumber(pid, 'VmRSS')) / 1024
}

/** Number of threads. */
export function threads(pid: number): Promise<number> {
  return statusNumber(pid, 'Threads')
}

/** Number of open descriptors. */
export async function descriptors(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length
}

async function statusNumber(pid: number, name: string): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1])
}

/** Field 3 and on. */
async function statFields(pid: number): Promise<string[]> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}
