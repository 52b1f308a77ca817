import { constants } from 'node:os'
import { pidfdSignal, signalSessions } from '../native/index.ts'
import type { SessionLeader } from './terminate.ts'

const { ESRCH } = constants.errno

/** A signal, and a second one for processes that got the first; 0: none. A first one of 0 only finds the members. */
export interface SessionSignal {
  readonly first: number
  readonly second: number
}

interface Waiting {
  readonly leader: SessionLeader
  readonly signal: SessionSignal
  readonly reached: Promise<readonly number[]>
  readonly settle: (pids: readonly number[]) => void
}

/** Asked for since the walk began that goes on now, by session and signal: no more than two for each session. */
const waiting = new Map<string, Waiting>()
let walking = false

/**
 * Signals the members of a session, its leader and those that ignore SIGHUP excepted, by a walk over all processes that
 * begins now or later. Calls during a walk share the next one, so any number of kills at a time takes two walks.
 * Returns the pids that were reached; none where there is no /proc.
 */
export function signalOthers(leader: SessionLeader, signal: SessionSignal): Promise<readonly number[]> {
  const key = `${leader.pid}:${signal.first}`
  const known = waiting.get(key)
  if (known !== undefined && known.leader === leader) return known.reached
  const { promise, resolve } = Promise.withResolvers<readonly number[]>()
  // An earlier leader with the same pid was reaped long ago, and its session is gone.
  known?.settle([])
  waiting.set(key, { leader, signal, reached: promise, settle: resolve })
  if (!walking) void walkAll()
  return promise
}

async function walkAll(): Promise<void> {
  walking = true
  while (waiting.size > 0) {
    const batch = [...waiting.values()]
    waiting.clear()
    const reached = await walk(batch)
    batch.forEach(({ settle }, index) => {
      settle(reached.get(index) ?? [])
    })
  }
  walking = false
}

/**
 * Whether the leader has been reaped, by the daemon or by the keeper: its number may be another process's by now, with
 * a session of that number.
 */
export function isReaped({ pidfd }: SessionLeader): boolean {
  const descriptor = pidfd()
  return descriptor === undefined || pidfdSignal(descriptor, 0) === -ESRCH
}

/** Pids by their place in the batch. */
async function walk(batch: readonly Waiting[]): Promise<ReadonlyMap<number, number[]>> {
  const targets = batch.flatMap(({ leader, signal }) => [
    ...[leader.pid, signal.first, signal.second],
    isReaped(leader) ? 1 : 0,
  ])
  const packed = await signalSessions(targets).catch(() => Buffer.alloc(0))
  const reached = new Map<number, number[]>()
  for (let at = 0; at < packed.length; at += 8) {
    const index = packed.readUInt32LE(at)
    const pids = reached.get(index)
    if (pids === undefined) reached.set(index, [packed.readUInt32LE(at + 4)])
    else pids.push(packed.readUInt32LE(at + 4))
  }
  return reached
}
