import { LinkedList } from './linked-list.ts'

/** One holder at a time, in the order of asking. */
export interface Lock {
  /** Resolves with the function that gives the lock back (idempotent). Rejects with the signal's reason if it aborts first. */
  acquire(signal: AbortSignal): Promise<() => void>
}

/** Makes a free lock. Who gives up waiting leaves nothing behind, so that a thousand of them cost the next one nothing. */
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
