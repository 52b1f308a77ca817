import { setTimeout as delay } from 'node:timers/promises'
import type { Daemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import type { Random } from '../hostile/random.ts'
import { untilAnswered } from '../keeper/exact-follower.ts'
import type { Exchanges } from './lanes.ts'

/** What was done to the daemon. */
export interface Troubles {
  freezes: number
  crashes: number
  upgrades: number
}

interface Scene {
  readonly daemon: Daemon
  readonly random: Random
  readonly exchanges: Exchanges
  /** Seconds of the part of the run in which daemons are exchanged: the one after it has a long series of its own. */
  readonly exchangeSeconds: number
  /** Milliseconds from one trouble to the next, at most. */
  readonly everyMs: number
  readonly over: AbortSignal
}

/** Freezes the daemon again and again, and in the first part of the run also kills it, or has it upgrade to itself. */
export async function makeTrouble(scene: Scene): Promise<Troubles> {
  const troubles: Troubles = { freezes: 0, crashes: 0, upgrades: 0 }
  const { random, over, everyMs, exchangeSeconds } = scene
  const begun = performance.now()
  await sendWhole(`${scene.daemon.url}/init`, { method: 'POST', body: '{}' })
  for (let round = 0; ; round++) {
    await delay(everyMs / 2 + random.int(everyMs / 2), undefined, { signal: over }).catch(() => {})
    if (over.aborted) return troubles
    const exchanging = performance.now() - begun < exchangeSeconds * 1000
    if (!exchanging || round % 3 === 2) await freeze(scene, troubles)
    else await exchange(scene, round % 3 === 0 ? 'crashes' : 'upgrades', troubles)
  }
}

async function freeze({ daemon, random }: Scene, troubles: Troubles): Promise<void> {
  const { pid } = daemon
  // On its way back: an upgrade that took too long was undone.
  if (Number.isNaN(pid)) return
  process.kill(pid, 'SIGSTOP')
  await delay(100 + random.int(1500))
  process.kill(pid, 'SIGCONT')
  troubles.freezes++
}

async function exchange({ daemon, exchanges }: Scene, how: 'crashes' | 'upgrades', troubles: Troubles): Promise<void> {
  const { pid } = daemon
  if (Number.isNaN(pid)) return
  exchanges.count++
  if (how === 'crashes') process.kill(pid, 'SIGKILL')
  // An upgrade has no answer: the connection ends with the daemon.
  else await sendWhole(`${daemon.url}/upgrade`, { method: 'POST' }).catch(() => {})
  await untilAnswered(async () => {
    const { status } = await sendWhole(`${daemon.url}/health`)
    if (status !== 204 || daemon.pid === pid || Number.isNaN(daemon.pid)) throw new Error('not yet')
  })
  // What began before the next one took over may still be cut off by the last.
  exchanges.count++
  troubles[how]++
}
