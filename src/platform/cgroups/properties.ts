/** The cgroups that the daemon makes below its root. Nothing is put into `socats`: ports are relayed by the daemon itself. */
export type GroupName = 'ptys' | 'socats' | 'user'

/** A file of a cgroup and what is to be in it. */
export type Property = readonly [file: string, value: string]

const MIB = 2 ** 20

/** What commands leave to the daemon and the kernel: an eighth of the memory, but no more than this. */
const MAX_RESERVE = 128 * MIB

/**
 * The properties of each cgroup (contract H2): terminals come before other commands when the CPU is short, and both are kept from taking
 * all of the memory.
 * @param memoryTotal bytes of memory that the machine has.
 */
export function groupProperties(memoryTotal: number): Readonly<Record<GroupName, readonly Property[]>> {
  const most = String(memoryTotal - Math.min(Math.floor(memoryTotal / 8), MAX_RESERVE))
  const limits: Property[] = [
    ['memory.high', most],
    ['memory.max', most],
  ]
  return {
    ptys: [['cpu.weight', '200'], ['io.weight', 'default 50'], ...limits],
    socats: [
      ['cpu.weight', '150'],
      ['io.weight', 'default 50'],
      ['memory.min', String(5 * MIB)],
      ['memory.low', String(8 * MIB)],
    ],
    user: [['cpu.weight', '50'], ['io.weight', 'default 10'], ...limits],
  }
}
