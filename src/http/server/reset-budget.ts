/** How many calls of a connection may be reset. */
interface ResetLimits {
  /** At once. */
  readonly burst: number
  /** Per second, in the long run. */
  readonly rate: number
}

/** A token bucket of resets; it starts full. */
interface ResetBudget {
  /** Takes one; false once there is none. */
  spend(): boolean
}

/** Makes the budget of one connection. */
function createResetBudget({ burst, rate }: ResetLimits): ResetBudget {
  let spent = 0
  let last = performance.now()
  return {
    spend: () => {
      const time = performance.now()
      spent = Math.max(0, spent - ((time - last) / 1000) * rate)
      last = time
      if (spent + 1 > burst) return false
      spent++
      return true
    },
  }
}

/** What a connection may reset. */
interface Resets {
  /**
   * A call has begun. Returns what is called when it was reset; that returns false when it was one too many.
   * @param showsToken counts for `all` only.
   */
  began(showsToken: boolean): () => boolean
}

/**
 * Counts the resets of one connection.
 * @param limits.unseen for calls that come and are reset in one turn of the event loop; they count for `all` as well.
 */
export function createResets({ all, unseen }: { readonly all: ResetLimits; readonly unseen: ResetLimits }): Resets {
  const budgets = { all: createResetBudget(all), unseen: createResetBudget(unseen) }
  let turn = 0
  let counting = false
  const countTurn = () => {
    if (counting) return
    counting = true
    setImmediate(() => {
      counting = false
      turn++
    })
  }
  return {
    began: (showsToken) => {
      countTurn()
      const begun = turn
      return () => budgets.all.spend() && (showsToken || begun !== turn || budgets.unseen.spend())
    },
  }
}
