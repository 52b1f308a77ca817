import { useEffect, useState } from 'preact/hooks'
import { reasonOf } from './failure.ts'
import { type Attempt, keepStreaming } from './reconnect.ts'
import type { Session } from './session.ts'

/** Something of the daemon that is followed by streams. */
interface Followed<T> {
  /** undefined: nothing was heard yet. */
  readonly value: T | undefined
  /** Why it is not followed any more; empty: it is. */
  readonly failure: string
}

/**
 * Follows something while the component is shown, over lost connections.
 * @param stream one stream: shows each value that it makes of its messages. A constant function.
 */
export function useFollowed<T>(
  session: Session,
  stream: (session: Session, attempt: Attempt, show: (value: T) => void) => Promise<void>,
): Followed<T> {
  const [followed, setFollowed] = useState<Followed<T>>({ value: undefined, failure: '' })
  useEffect(() => {
    const left = new AbortController()
    const show = (value: T) => !left.signal.aborted && setFollowed({ value, failure: '' })
    keepStreaming(session.connection, left.signal, async (attempt) => {
      await stream(session, attempt, show)
      return 'cut'
    }).catch((error: unknown) => setFollowed(({ value }) => ({ value, failure: reasonOf(error) })))
    return () => left.abort()
  }, [session, stream])
  return followed
}
