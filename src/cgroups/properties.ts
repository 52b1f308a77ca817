/**
 * The cgroups that commands run in, all but terminals and terminals, in the order in which they are frozen (contract
 * H3). Those of commands with limits of their own are below.
 */
export const COMMAND_GROUPS = ['user', 'ptys'] as const
export type CommandGroup = (typeof COMMAND_GROUPS)[number]

/**
 * The cgroups that the daemon makes below its root. Nothing is put into `socats`: ports are relayed by the daemon
 * itself.
 */
export type GroupName = CommandGroup | 'socats'

/** A file of a cgroup and what is to be in it. */
export type Property = readonly [file: string, value: string]

const MIB = 2 ** 20

/**
 * The properties of each cgroup (contract H2): terminals come before other commands when the CPU is short, and both are
 * kept from taking all of the memory.
 * @param commandMemory bytes that the commands of each may take.
 */
export function groupProperties(commandMemory: number): Readonly<Record<GroupName, readonly Property[]>> {
  const limits = memoryLimits(commandMemory)
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

/** The properties that limit the memory of a cgroup to so many bytes. */
export function memoryLimits(bytes: number): readonly Property[] {
  return [
    ['memory.high', String(bytes)],
    ['memory.max', String(bytes)],
  ]
}
