import { LinkedList } from './linked-list.ts'

/** A mutex with waiters in first-in, first-out order. */
export interface Lock {
  /** Resolves with the release function (idempotent). Rejects with the signal's reason if it aborts first. */
  acquire(signal: AbortSignal): Promise<() => void>
}

/** A waiter whose signal aborts is removed in constant time. */
export function createLock(): Lock {
  const waiting = new LinkedList<() => void>()
  let held = false

  const take = () => {
    held = true
    let released = false
    return () => {
      if (released) return
      released = true
      held = false
      waiting.first?.()
    }
  }

  return {
    acquire: (signal) =>
      new Promise((resolve, reject) => {
        signal.throwIfAborted()
        if (!held) return resolve(take())
        const leave = () => {
          waiting.delete(place)
          signal.removeEventListener('abort', abort)
        }
        const enter = () => {
          leave()
          resolve(take())
        }
        const abort = () => {
          leave()
          reject(signal.reason)
        }
        const place = waiting.push(enter)
        signal.addEventListener('abort', abort, { once: true })
      }),
  }
}
