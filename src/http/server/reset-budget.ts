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
export function createResetBudget({ burst, rate }: ResetLimits, now = () => performance.now()): ResetBudget {
  let spent = 0
  let last = now()
  return {
    spend: () => {
      const time = now()
      spent = Math.max(0, spent - ((time - last) / 1000) * rate)
      last = time
      if (spent + 1 > burst) return false
      spent++
      return true
    },
  }
}
