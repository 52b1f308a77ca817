import { getHeapStatistics, setFlagsFromString } from 'node:v8'

/**
 * Policies of V8 that are read whenever they matter, so that they may come late. On the command line each would make
 * V8 refuse the compiled code of Node's own modules, which takes 35 ms of a start.
 *
 * optimize-for-size: what a flood took is given back (95 MB resident 20 s later instead of 190). Alone it collects at
 * every third of growth, which halts the daemon for 10 to 30 ms several times a second amid 1,000 clients.
 *
 * heap-growing-percent: at every half of growth; 100 takes 25 MB more at the peak for 3 % less of the processor's time
 * where garbage is all there is. Without these two a flood in the first second takes 70 MB more.
 *
 * invocation-count-for-turbofan: the top compiler takes functions that have run 20,000 times, not 10,000. It compiles
 * in a thread of its own, 310 ms in all for a client that does nothing but look at files, and small machines have one
 * or two processors. Long listings and floods of output get there as well, and take the same time.
 *
 * no-separate-gc-phases: new objects are collected while the heap is marked as well. Otherwise they wait until the
 * marking is over: up to 20 MB amid 300 commands with much output, whose collection halts the daemon for 20 to 35 ms.
 *
 * Not among them: max-opt, which V8 reads only when it starts, and no-turbofan: without the top compiler long listings
 * take a tenth longer, for 3 MB less at the peak.
 */
const POLICIES: readonly Policy[] = [
  { set: '--optimize-for-size', unset: '--no-optimize-for-size' },
  { set: '--heap-growing-percent=50', unset: '--heap-growing-percent=0' },
  { set: '--invocation-count-for-turbofan=20000', unset: '--invocation-count-for-turbofan=10000' },
  { set: '--no-separate-gc-phases', unset: '--separate-gc-phases' },
]

interface Policy {
  readonly set: string
  /** V8's own. */
  readonly unset: string
}

const NO_MARKING: Policy = { set: '--no-incremental-marking', unset: '--incremental-marking' }

/** What is set now. */
const inForce = new Set<Policy>()

/**
 * Sets the policies of V8 for a daemon. To be called once all that is needed at first has been loaded. The heap is not
 * marked beside the first calls until `markInPieces`: a start leaves it where V8 would begin, which halts one of them
 * for 10 to 18 ms.
 */
export function setEngineFlags(): void {
  for (const policy of [...POLICIES, NO_MARKING]) {
    setFlagsFromString(policy.set)
    inForce.add(policy)
  }
}

/**
 * Runs what loads modules of Node, with V8's own policies for so long: V8 takes the compiled code that Node has of them
 * under no others, and would take twice the time to compile it. Gives what it returns.
 */
export function withNodesCode<T>(load: () => T): T {
  for (const { unset } of inForce) setFlagsFromString(unset)
  try {
    return load()
  } finally {
    for (const { set } of inForce) setFlagsFromString(set)
  }
}

/** The heap has grown by calls then: to mark all of it at once takes 20 to 50 ms. */
const GROWN = 1.25

const CHECK_MS = 50

/**
 * Has V8 mark the heap in pieces between calls, as it does by default, when that many milliseconds are over, or as soon
 * as a flood of calls has made the heap grow.
 */
export function markInPieces(milliseconds: number): void {
  const begin = getHeapStatistics().used_heap_size
  const end = performance.now() + milliseconds
  const timer = setInterval(() => {
    if (performance.now() < end && getHeapStatistics().used_heap_size < begin * GROWN) return
    clearInterval(timer)
    inForce.delete(NO_MARKING)
    setFlagsFromString(NO_MARKING.unset)
  }, CHECK_MS)
  timer.unref()
}
