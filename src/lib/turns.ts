/**
 * Work per turn of the event loop, all owners together; what comes first of all, such as a health check, waits about so
 * long.
 */
const SLICE_MS = 3

/** Work that waits goes on in every turn, however long the rest of the turn takes. */
const MIN_SLICE_MS = 1

/**
 * Work of many that shares the event loop: as much as fits into a slice of time is done in each turn of it, in turn for
 * each owner.
 */
export interface Turns {
  /** Units that wait. */
  readonly waiting: number
  /** Whether there is time left in this turn and nothing waits: work may begin at once. */
  readonly free: boolean
  /** Runs `work` at once while there is time left and nothing waits, else in its turn. */
  run(owner: object, work: () => void): void
  /** Runs `work` in its turn, never at once: nothing follows in that turn before what it leads to in the next tick. */
  queue(owner: object, work: () => void): void
  /**
   * For a unit of work that is about to begin: undefined at once while there is time left, nothing waits, and what the
   * last such unit leads to in the next tick is done; else resolves in its turn.
   */
  turn(owner: object): Promise<void> | undefined
  /** Resolves in a later turn of the event loop. */
  next(owner: object): Promise<void>
}

/** Makes the turns of an event loop. @param sliceMs milliseconds of work in each. */
export function createTurns(now = () => performance.now(), sliceMs = SLICE_MS): Turns {
  const round = createRound()
  /** Whether `pass` will run at the end of this turn of the event loop. */
  let open = false
  let end = 0
  const first = createFirst()
  const begin = () => {
    if (open) return
    open = true
    end = now() + sliceMs
    setImmediate(pass)
  }
  const pass = () => {
    open = round.length > 0
    if (!open) return
    // What was done since the last pass counts.
    end = Math.max(end, now() + MIN_SLICE_MS)
    serveOne(round.shift())
  }
  const serve = () => serveOne(now() < end ? round.shift() : undefined)
  const serveOne = (work: (() => void) | undefined) => {
    if (work === undefined) {
      end = now() + sliceMs
      setImmediate(pass)
      return
    }
    afterwards(serve)
    work()
  }
  const push = (owner: object, work: () => void) => {
    begin()
    round.push(owner, work)
  }
  const isFree = () => {
    begin()
    return round.length === 0 && now() < end
  }
  return {
    get waiting() {
      return round.length
    },
    get free() {
      return isFree()
    },
    run: (owner, work) => {
      if (isFree()) work()
      else push(owner, work)
    },
    queue: push,
    turn: (owner) => (isFree() && first.begin() ? undefined : new Promise((resolve) => push(owner, resolve))),
    next: (owner) => new Promise((resolve) => push(owner, resolve)),
  }
}

/** Runs `next` after everything that is done now leads to without a wait for something else. */
function afterwards(next: () => void): void {
  queueMicrotask(() => process.nextTick(next))
}

/**
 * One unit that begins at once, until what it leads to is done: of thousands that are asked in one tick all would
 * begin, since none has used any time yet.
 */
function createFirst() {
  let begun = false
  return {
    /** Whether this is the one. */
    begin: (): boolean => {
      if (begun) return false
      begun = true
      afterwards(() => {
        begun = false
      })
      return true
    },
  }
}

/** What waits, in a round over its owners. */
function createRound() {
  const queues = new Map<object, (() => void)[]>()
  let length = 0
  return {
    get length() {
      return length
    },
    push: (owner: object, work: () => void) => {
      length++
      const queue = queues.get(owner)
      if (queue === undefined) queues.set(owner, [work])
      else queue.push(work)
    },
    shift: (): (() => void) | undefined => {
      for (const [owner, queue] of queues) {
        const work = queue.shift()
        queues.delete(owner)
        if (queue.length > 0) queues.set(owner, queue)
        length--
        return work
      }
      return undefined
    },
  }
}

/** Those of the event loop, which everything in this process shares. */
export const loopTurns = createTurns()
