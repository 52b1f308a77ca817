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
 * The memory that may wait for somebody, in sum over all connections and users. A connection and a user may each hold
 * at most as much as is still free (the dynamic threshold of Choudhury and Hahne, 1998, with alpha = 1): one alone gets
 * half of the total, n of them 1/(n+1) each, and there is always something left for a newcomer.
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

interface Share {
  held: number
}

/**
 * Makes a budget of `total` bytes.
 * @param defaultUser the name of the user that is meant by none.
 */
export function createByteBudget(total: number, defaultUser = () => ''): ByteBudget {
  const usage = Object.fromEntries(BUDGET_KINDS.map((kind) => [kind, 0])) as Record<BudgetKind, number>
  const connections = new WeakMap<object, Share>()
  const users = new Map<string, Share>()
  let held = 0
  let refusals = 0

  const sharesOf = (connection: object | undefined, user: string | undefined): Share[] => {
    const shares: Share[] = []
    if (connection !== undefined) shares.push(shareOf(connections, connection))
    if (user !== undefined) shares.push(shareOf(users, user))
    return shares
  }

  const fits = (bytes: number, shares: readonly Share[]): boolean => {
    const free = total - held - bytes
    return free >= 0 && shares.every((share) => share.held + bytes <= free)
  }

  return {
    total,
    get refusals() {
      return refusals
    },
    usage: () => ({ ...usage }),
    hold: (kind, owner) => {
      // The share of a user that holds nothing is dropped, so names that clients invent leave nothing behind.
      let shares: Share[] = []
      let user: string | undefined
      let bytes = 0
      let released = false
      const add = (change: number) => {
        bytes += change
        held += change
        usage[kind] += change
        for (const share of shares) share.held += change
        if (bytes === 0) forgetUser(users, user)
      }
      const tryGrow = (more: number): boolean => {
        if (released) return false
        if (bytes === 0) {
          // The default user may be another one by now, and releases what it took.
          user = owner.user === '' ? defaultUser() : owner.user
          shares = sharesOf(owner.connection, user)
        }
        if (!fits(more, shares)) {
          refusals++
          if (bytes === 0) forgetUser(users, user)
          return false
        }
        add(more)
        return true
      }
      return {
        get bytes() {
          return bytes
        },
        tryGrow,
        grow: (more) => {
          if (!tryGrow(more)) throw spent(kind, total)
        },
        shrink: (fewer) => {
          if (bytes > 0) add(-Math.min(fewer, bytes))
        },
        release: () => {
          released = true
          if (bytes > 0) add(-bytes)
        },
      }
    },
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

function forgetUser(users: Map<string, Share>, user: string | undefined): void {
  if (user !== undefined && users.get(user)?.held === 0) users.delete(user)
}

function spent(kind: BudgetKind, total: number): AppError {
  return new AppError(
    'budget_spent',
    `the memory for waiting data (${kind}, ${total} bytes in all) is spent; try again`,
  )
}
