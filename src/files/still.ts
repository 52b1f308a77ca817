/** As long as jobs of the addon (`max_still` of native/job.cc). */
const STILL_MS = 30_000
/** So many looks in that time: the machine may have been paused as a whole. */
const MIN_LOOKS = 10

/**
 * Tells of work whether it hangs in a system call, as on a filesystem that does not answer: it has spent no time on a
 * processor for half a minute.
 * @returns a function to be called now and then with the time that it has spent so far.
 */
export function stillness(): (spent: bigint | number) => boolean {
  let last: bigint | number | undefined
  let looks = 0
  let since = 0
  return (spent) => {
    const now = performance.now()
    if (spent !== last) [last, looks, since] = [spent, 0, now]
    return ++looks > MIN_LOOKS && now - since >= STILL_MS
  }
}
