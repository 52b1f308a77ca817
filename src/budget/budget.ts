import { AppError } from '../errors.ts'

/** What bytes wait for: one label per place that holds them. */
const BUDGET_KINDS = [
  'body',
  'input',
  'frame',
  'download',
  'upload',
  'watch',
  'listing',
  'events',
  'command',
  'screen',
  'edit',
  'relay',
] as const

/** One of `BUDGET_KINDS`. */
export type BudgetKind = (typeof BUDGET_KINDS)[number]

/**
 * On whose behalf bytes are held. Both parts have a share of their own; undefined: the daemon itself, without a share.
 */
export interface BudgetOwner {
  /** The connection, by identity: its socket. For HTTP/2 the socket of the session, not the stream. */
  readonly connection: object | undefined
  /** The user name of the request. Empty: the default user, whose share it is then. */
  readonly user: string | undefined
}

/** Bytes that one call, stream or tree holds. It starts empty; the one that opened it releases it. */
export interface Hold {
  /** Bytes held at the moment. */
  readonly bytes: number
  /** Holds `bytes` more if the budget and both shares allow it; false changes nothing. */
  tryGrow(bytes: number): boolean
  /** As `tryGrow`, but throws AppError `budget_spent` instead of returning false. */
  grow(bytes: number): void
  /** Releases `bytes`, at most what is held. */
  shrink(bytes: number): void
  /** Releases everything; later calls change nothing, and `tryGrow` returns false. Idempotent. */
  release(): void
}

/**
 * The memory that may wait for clients, in sum over all connections and users. A connection and a user may each hold
 * at most as much as is still free (the dynamic threshold of Choudhury and Hahne, 1998, with alpha = 1): one alone gets
 * half of the total, n of them 1/(n+1) each, and some is always left for a new connection.
 */
export interface ByteBudget {
  /** Bytes that may be held in sum. */
  readonly total: number
  /** Opens an empty hold. The caller releases it. */
  hold(kind: BudgetKind, owner: BudgetOwner): Hold
  /** Bytes held at the moment, by kind. */
  usage(): Readonly<Record<BudgetKind, number>>
  /** How often `tryGrow` or `grow` refused. */
  readonly refusals: number
}

/** Users whose shares stay though they hold nothing, and the longest names of such. */
const MAX_KEPT_USERS = 16
const MAX_KEPT_NAME = 64

interface Share {
  held: number
}

/**
 * Makes a budget of `total` bytes.
 * @param defaultUser the name of the user that is meant by none.
 */
export function createByteBudget(total: number, defaultUser = () => ''): ByteBudget {
  const ledger = new Ledger(total, defaultUser)
  return {
    total,
    get refusals() {
      return ledger.refusals
    },
    usage: () => ({ ...ledger.usage }),
    hold: (kind, owner) => new LedgerHold(ledger, kind, owner),
  }
}

/** What is held at the moment, in sum, by kind and by owner. */
class Ledger {
  readonly total: number
  readonly usage = Object.fromEntries(BUDGET_KINDS.map((kind) => [kind, 0])) as Record<BudgetKind, number>
  refusals = 0
  readonly #defaultUser: () => string
  readonly #connections = new WeakMap<object, Share>()
  readonly #users = new Map<string, Share>()
  #held = 0

  constructor(total: number, defaultUser: () => string) {
    this.total = total
    this.#defaultUser = defaultUser
  }

  /** The user whose share an owner's bytes are part of now: the default user may be another one later. */
  userOf({ user }: BudgetOwner): string | undefined {
    return user === '' ? this.#defaultUser() : user
  }

  /** The shares that a connection and a user have, made if need be: `forget` that of a user that takes nothing. */
  sharesOf(connection: object | undefined, user: string | undefined): Share[] {
    const shares: Share[] = []
    if (connection !== undefined) shares.push(shareOf(this.#connections, connection))
    if (user !== undefined) shares.push(shareOf(this.#users, user))
    return shares
  }

  /** Whether there is room for that many bytes more, in sum and in each of the shares. */
  fits(bytes: number, shares: readonly Share[]): boolean {
    const free = this.total - this.#held - bytes
    return free >= 0 && shares.every((share) => share.held + bytes <= free)
  }

  add(kind: BudgetKind, shares: readonly Share[], change: number): void {
    this.#held += change
    this.usage[kind] += change
    for (const share of shares) share.held += change
  }

  /**
   * Drops the share of a user that holds nothing, so that names that clients invent leave nothing behind; a few short
   * ones stay, as the next call is most often of the same user.
   */
  forget(user: string | undefined): void {
    if (user === undefined || (user.length <= MAX_KEPT_NAME && this.#users.size <= MAX_KEPT_USERS)) return
    if (this.#users.get(user)?.held === 0) this.#users.delete(user)
  }
}

class LedgerHold implements Hold {
  readonly #ledger: Ledger
  readonly #kind: BudgetKind
  readonly #owner: BudgetOwner
  #shares: readonly Share[] = []
  #user: string | undefined
  #bytes = 0
  #released = false

  constructor(ledger: Ledger, kind: BudgetKind, owner: BudgetOwner) {
    this.#ledger = ledger
    this.#kind = kind
    this.#owner = owner
  }

  get bytes(): number {
    return this.#bytes
  }

  tryGrow(bytes: number): boolean {
    if (this.#released) return false
    if (this.#bytes === 0) {
      this.#user = this.#ledger.userOf(this.#owner)
      this.#shares = this.#ledger.sharesOf(this.#owner.connection, this.#user)
    }
    if (this.#ledger.fits(bytes, this.#shares)) {
      this.#add(bytes)
      return true
    }
    this.#ledger.refusals++
    if (this.#bytes === 0) this.#ledger.forget(this.#user)
    return false
  }

  grow(bytes: number): void {
    if (!this.tryGrow(bytes)) throw spent(this.#kind, this.#ledger.total)
  }

  shrink(bytes: number): void {
    if (this.#bytes > 0) this.#add(-Math.min(bytes, this.#bytes))
  }

  release(): void {
    this.#released = true
    if (this.#bytes > 0) this.#add(-this.#bytes)
  }

  #add(change: number): void {
    this.#bytes += change
    this.#ledger.add(this.#kind, this.#shares, change)
    if (this.#bytes === 0) this.#ledger.forget(this.#user)
  }
}

/** Both holds as one: what either refuses, neither has. Its bytes are those of the first. */
export function bothHolds(first: Hold, second: Hold): Hold {
  const grow = (one: Hold, other: Hold, bytes: number) => {
    if (!one.tryGrow(bytes)) return false
    if (other.tryGrow(bytes)) return true
    one.shrink(bytes)
    return false
  }
  return {
    get bytes() {
      return first.bytes
    },
    tryGrow: (bytes) => grow(first, second, bytes),
    grow: (bytes) => {
      first.grow(bytes)
      try {
        second.grow(bytes)
      } catch (error) {
        first.shrink(bytes)
        throw error
      }
    },
    shrink: (bytes) => {
      first.shrink(bytes)
      second.shrink(bytes)
    },
    release: () => {
      first.release()
      second.release()
    },
  }
}

function shareOf<K>(shares: { get(key: K): Share | undefined; set(key: K, share: Share): unknown }, key: K): Share {
  const known = shares.get(key)
  if (known !== undefined) return known
  const share = { held: 0 }
  shares.set(key, share)
  return share
}

function spent(kind: BudgetKind, total: number): AppError {
  return new AppError(
    'budget_spent',
    `the memory for waiting data (${kind}, ${total} bytes in all) is spent; try again`,
  )
}
