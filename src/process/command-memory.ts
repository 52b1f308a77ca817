import type { ByteBudget, Hold } from '../budget/budget.ts'
import type { ProcessConfig } from './process.ts'

/** Bytes of a string or map entry in addition to its characters. */
const ITEM_BYTES = 48

/** Bytes that every command may take, even when the budget is spent; there are at most 16,384 commands. */
const ALWAYS_ALLOWED = 4 * 1024

/** Bytes that the description of a command takes as long as it runs: `List` returns it. */
export function commandBytes({ cmd, args, envs, cwd = '' }: ProcessConfig, tag = ''): number {
  let bytes = cmd.length + cwd.length + tag.length
  for (const argument of args) bytes += argument.length + ITEM_BYTES
  for (const name in envs) bytes += name.length + (envs[name]?.length ?? 0) + 2 * ITEM_BYTES
  return bytes
}

/**
 * Counts a command in the budget, on account of its user: it outlives its connection. The caller releases the hold when
 * the command has ended. Throws AppError `budget_spent`.
 */
export function holdCommand(budget: ByteBudget, { bytes, user }: { bytes: number; user: string }): Hold {
  const hold = budget.hold('command', { connection: undefined, user })
  if (bytes > ALWAYS_ALLOWED) hold.grow(bytes)
  else hold.tryGrow(bytes)
  return hold
}
