import { Code, ConnectError, createClient } from '@connectrpc/connect'
import { useEffect, useState } from 'preact/hooks'
import { Jobs } from '../../gen/jobs/v1/jobs_pb.js'
import { reasonOf } from '../failure.ts'
import { Output, type Positions } from '../output/output.ts'
import { type Attempt, keepStreaming } from '../reconnect.ts'
import type { Session } from '../session.ts'
import { useRedraw } from '../use-redraw.ts'

/** The output of a job, which grows. */
interface FollowedOutput {
  readonly output: Output
  /** Another number whenever there is more. */
  readonly version: number
  /** Why it is not followed any more; undefined: it is, or the job has ended. */
  readonly failure: string | undefined
}

/** Reads the output of a job from the oldest byte that is kept, to its end, over lost connections. */
export function useOutput(session: Session, pid: number): FollowedOutput {
  const [output, setOutput] = useState(() => new Output())
  const { version, redraw } = useRedraw()
  const [failure, setFailure] = useState<string | undefined>(undefined)
  useEffect(() => {
    const left = new AbortController()
    const own = new Output()
    setOutput(own)
    setFailure(undefined)
    readOutput(session, pid, { output: own, redraw, signal: left.signal }).catch((error: unknown) => {
      if (!left.signal.aborted) setFailure(reasonOf(error))
    })
    return () => left.abort()
  }, [session, pid, redraw])
  return { output, version, failure }
}

interface Target {
  readonly output: Output
  readonly redraw: () => void
  readonly signal: AbortSignal
}

async function readOutput(session: Session, pid: number, { output, redraw, signal }: Target): Promise<void> {
  const client = createClient(Jobs, session.transport)
  const job = { selector: { case: 'pid' as const, value: pid } }
  const read = async (attempt: Attempt, from: Positions | undefined): Promise<'ended' | 'cut'> => {
    const request = { job, follow: true, ...(from === undefined ? {} : { from }) }
    for await (const { event } of client.read(request, attempt)) {
      attempt.heard()
      if (event.case === 'start' && event.value.offsets !== undefined) output.begin(event.value.offsets)
      if (event.case === 'end') return 'ended'
      if (event.case === 'data' && event.value.output.case !== undefined)
        output.add(event.value.output.case, event.value.offset, event.value.output.value)
      redraw()
    }
    return 'cut'
  }
  let begun = false
  await keepStreaming(session.connection, signal, async (attempt) => {
    const from = begun ? output.positions : undefined
    begun = true
    return read(attempt, from).catch((error: unknown) => {
      // What is needed has left the window of the daemon: what is kept is read, and the gap is said.
      if (error instanceof ConnectError && error.code === Code.OutOfRange) return read(attempt, undefined)
      throw error
    })
  })
}
