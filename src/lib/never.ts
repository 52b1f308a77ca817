/**
 * A signal that never aborts: for what must be finished although its client leaves. Take it only where the signal gets
 * no listener that stays: to add one walks over all that are there.
 */
export const NEVER = new AbortController().signal
