/** A process that the kernel has killed because memory ran out. */
export interface OomKill {
  /** The number of the record in the kernel's log. */
  readonly seq: number
  /** The name of the process, as the kernel writes it: bytes that cannot be printed are escaped. */
  readonly process: string
}

/**
 * One of those, with the number that the process had in the kernel's own pid namespace; undefined: the record does not
 * say.
 */
export interface OomVictim extends OomKill {
  readonly pid: number | undefined
}

/**
 * Facility 0 with any level: the kernel's own. What a process writes to /dev/kmsg has another facility, whatever it
 * asks for.
 */
const HIGHEST_OWN_PRIORITY = 7

/** The number, then anything up to the message (Documentation/ABI/testing/dev-kmsg). */
const HEADER = /^(\d+),(\d+),[^;\n]*;/

const KILLED =
  /^(?:Out of memory|Out of memory \(oom_kill_allocating_task\)|Memory cgroup out of memory): Killed process (.*)/

/** A name may hold brackets, and even this text: the last one is the kernel's. */
const VICTIM = /^(\d+) \((.*)\) total-vm:/

/**
 * What one record of /dev/kmsg says of a kill (contract N18); undefined for any other record, and for one that a
 * process wrote.
 */
export function parseOomKill(record: string): OomVictim | undefined {
  const [head = '', priority = '', seq = ''] = HEADER.exec(record) ?? []
  if (head === '' || Number(priority) > HIGHEST_OWN_PRIORITY) return undefined
  const [text = ''] = record.slice(head.length).split('\n', 1)
  const [, victim] = KILLED.exec(text) ?? []
  if (victim === undefined) return undefined
  const [, pid, process = 'Unknown'] = VICTIM.exec(victim) ?? []
  return { seq: Number(seq), process, pid: pid === undefined ? undefined : Number(pid) }
}
