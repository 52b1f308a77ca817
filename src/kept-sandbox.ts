import type { Endpoint } from './http/server/bind.ts'
import type { AccessToken } from './init/access-token.ts'
import { createStateText, type InitProgress, NO_PROGRESS, restoreState } from './init/kept-state.ts'
import type { Keeper, Taken } from './keeper/keeper.ts'
import { DAEMON_KEY } from './keeper/keys.ts'
import { createKeptFreezes, type KeptFreezes } from './kept-freezes.ts'
import { createKeptServices } from './kept-services.ts'
import { stateKeeper } from './kept-state.ts'
import type { Log } from './log.ts'
import { close, duplicate } from './native/index.ts'
import { randomUuid } from './native/random.ts'
import type { KeptStates } from './supervisor/kept-state.ts'
import { type HandOver, readAnnounced, readHandOver } from './upgrade/hand-over.ts'
import type { Defaults } from './users/defaults.ts'

/** What of a sandbox outlives a daemon that ends unexpectedly: its state and its listening sockets. */
export interface KeptSandbox {
  /** Listening sockets of the daemon before this one, for the same endpoint; the caller's. Empty: there are none. */
  readonly sockets: readonly number[]
  /** What `/init` had come to. */
  readonly progress: InitProgress
  /** From now on the state is kept, with these sockets, which stay the caller's. */
  begin(sockets: () => readonly number[]): void
  /** To be called after each request of `/init`, before it is answered. */
  applied(progress: InitProgress): void
  /** The last upgrade, to this daemon or one before it, with the program of this one; undefined: there was none. */
  readonly before: HandOver | undefined
  /** What becomes of services. */
  readonly services: KeptStates
  /** What is frozen. */
  readonly freezes: KeptFreezes
  /** Another daemon waits to take over, however this one ends; undefined: none does any more. */
  announce(next: HandOver | undefined): void
  /** This daemon hands over: what is kept says so, and stays. */
  handOver(own: HandOver): void
  /** The sockets are about to be closed, and nothing is to be kept any more. */
  end(): void
}

interface Parts {
  readonly keeper: Keeper
  readonly taken: Taken
  /** What is listened on. */
  readonly endpoint: Endpoint
  readonly token: AccessToken
  readonly defaults: Defaults
  readonly log: Log
}

/**
 * Restores token and defaults from what an earlier daemon has deposited. A state that cannot be understood locks the
 * sandbox with a random token: until a hash of the metadata service allows another one in `/init`, all calls are
 * refused.
 */
export function restoreSandbox({ keeper, taken, endpoint, token, defaults, log }: Parts): KeptSandbox {
  const wanted = `${endpoint.port} ${endpoint.address}`
  const found = takeDeposit(taken, wanted)
  const restored = found === undefined ? NO_PROGRESS : restoreState(found.state, { token, defaults })
  const progress = restored ?? NO_PROGRESS
  if (restored === undefined) {
    log.error({}, 'the state of the daemon before this one cannot be understood: every call is refused until /init')
    token.set(randomUuid())
  }
  const state = createStateText({ token, defaults }, progress)
  let listening: (() => readonly number[]) | undefined
  const before = found === undefined ? undefined : lastHandOver(found.state, taken)
  let more: { readonly handOver?: HandOver | undefined; readonly next?: HandOver | undefined } = { handOver: before }
  const parts = keptParts(found?.state, () => keep())
  const content = () => {
    if (listening === undefined || !keeper.present) return undefined
    const text = `${wanted}\n${state.text({ ...more, ...parts.content() })}`
    return { text, sockets: listening() }
  }
  const keep = stateKeeper({ keeper, content, log })
  return {
    sockets: found?.sockets ?? [],
    progress,
    begin: (sockets) => {
      listening = sockets
      keep()
    },
    applied: (now) => {
      state.applied(now)
      keep()
    },
    before,
    services: parts.services,
    freezes: parts.freezes,
    announce: (next) => {
      more = { handOver: before, next }
      keep()
    },
    handOver: (own) => {
      more = { handOver: own }
      // What is applied from now on is kept with sockets that are not those of the listener, which closes them.
      const copies = listening?.().flatMap(copyOf)
      if (copies !== undefined) listening = () => copies
      keep()
    },
    end: () => {
      listening = undefined
      keeper.drop(DAEMON_KEY)
    },
  }
}

/** What is kept for parts of the daemon. */
function keptParts(state: string | undefined, keep: () => void) {
  const services = createKeptServices(state, keep)
  const freezes = createKeptFreezes(state, keep)
  return {
    services: services.states,
    freezes: freezes.stores,
    content: () => ({ services: services.content(), freezes: freezes.content() }),
  }
}

/** Who goes on after all runs the program that has handed over. */
function lastHandOver(state: string, { trial, wentBack }: Taken): HandOver | undefined {
  // The one before it ended before it could hand over, and was to be followed by this one.
  const announced = trial || wentBack ? readAnnounced(state) : undefined
  const last = announced ?? readHandOver(state)
  return last === undefined || !wentBack ? last : { ...last, program: last.own ?? null }
}

/** None for want of descriptors: this daemon ends in a moment, and the next one listens anew. */
function copyOf(socket: number): readonly number[] {
  try {
    return [duplicate(socket)]
  } catch {
    return []
  }
}

function takeDeposit({ deposits }: Taken, wanted: string) {
  const deposit = deposits.find(({ key }) => key === DAEMON_KEY)
  if (deposit === undefined) return undefined
  const { descriptors: sockets } = deposit
  const text = deposit.content.toString()
  const end = text.indexOf('\n')
  const same = text.slice(0, end) === wanted
  // Of another endpoint: the configuration has changed meanwhile.
  if (!same) for (const socket of sockets) close(socket)
  return { state: text.slice(end + 1), sockets: same ? sockets : [] }
}
