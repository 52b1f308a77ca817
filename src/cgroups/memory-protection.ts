import { readFile } from 'node:fs/promises'
import { join, posix } from 'node:path'
import { chainOf } from './freeze/group-tree.ts'
import { isWithin, ownGroup } from './freeze/own-group.ts'

/** What the word `max` stands for: the largest integer of 64 bits. */
const MAX = 2n ** 63n - 1n

/**
 * The value of `X-Envd-Memory` (contract N13): how much memory is kept for the daemon's own cgroup, in bytes, as JSON.
 * `request` and `low` are its `memory.min` and `memory.low`, `floor` the least `memory.min` from there up to below
 * `root`; `partial` says that something could not be read and counts as 0. Never rejects.
 * @param root undefined: the daemon has no cgroups.
 */
export async function memoryProtection(root: string | undefined, procSelf?: string): Promise<string> {
  const group = root === undefined ? undefined : await ownGroup(root, procSelf)
  if (group === undefined || !isWithin(group.own, group.root)) return toJson([0n, 0n, 0n], true)
  if (group.own === group.root) return toJson([0n, 0n, 0n], false)
  const chain = chainOf(posix.relative(group.root, group.own)).slice(1)
  const mins = await Promise.all(chain.map((path) => readBytes(join(group.root, path, 'memory.min'))))
  const low = await readBytes(join(group.own, 'memory.low'))
  const floor = mins.reduce<bigint>((least, min = 0n) => (min < least ? min : least), MAX)
  return toJson([mins.at(-1) ?? 0n, low ?? 0n, floor], [...mins, low].includes(undefined))
}

function toJson([request, low, floor]: readonly [bigint, bigint, bigint], partial: boolean): string {
  return `{"request":${request},"low":${low},"floor":${floor},"partial":${partial}}`
}

/** Undefined where there is no such number. */
async function readBytes(file: string): Promise<bigint | undefined> {
  const text = await readFile(file, 'latin1').then(
    (read) => read.trim(),
    () => '',
  )
  if (text === 'max') return MAX
  if (!/^\d{1,20}$/.test(text)) return undefined
  const bytes = BigInt(text)
  return bytes < MAX ? bytes : MAX
}
