import { type Client, createClient } from '@connectrpc/connect'
import { useEffect, useState } from 'preact/hooks'
import { type Job, Jobs, State } from '../../gen/jobs/v1/jobs_pb.js'
import { keepStreaming } from '../reconnect.ts'
import type { Session } from '../session.ts'
import { type Jobs as JobTable, withJobs } from './table-model.ts'

/** Between two looks at what running jobs have used so far. */
const USAGE_MS = 2_000

/** All jobs that the daemon knows, as they are now; undefined: not known yet. */
export function useJobs(session: Session): JobTable | undefined {
  const [jobs, setJobs] = useState<JobTable | undefined>(undefined)
  useEffect(() => {
    const left = new AbortController()
    const client = createClient(Jobs, session.transport)
    const add = (added: readonly Job[]) => setJobs((known) => withJobs(known ?? new Map(), added))
    const replace = (all: readonly Job[]) => setJobs(withJobs(new Map(), all))
    void followJobs(client, session, { add, replace, signal: left.signal }).catch(() => {})
    const timer = setInterval(() => void lookAtUsage(client, add, left.signal), USAGE_MS)
    return () => {
      left.abort()
      clearInterval(timer)
    }
  }, [session])
  return jobs
}

interface Table {
  readonly add: (jobs: readonly Job[]) => void
  readonly replace: (jobs: readonly Job[]) => void
  readonly signal: AbortSignal
}

/** What is there, then each change. The list is asked for when changes are sent already, so that none is missed. */
function followJobs(client: Client<typeof Jobs>, session: Session, { add, replace, signal }: Table): Promise<void> {
  return keepStreaming(session.connection, signal, async (attempt) => {
    for await (const { event } of client.watch({}, attempt)) {
      attempt.heard()
      if (event.case === 'watching') replace((await client.list({}, { signal: attempt.signal })).jobs)
      if (event.case === 'started' || event.case === 'ended') add([event.value])
    }
    return 'cut'
  })
}

async function lookAtUsage(client: Client<typeof Jobs>, add: Table['add'], signal: AbortSignal): Promise<void> {
  if (document.visibilityState !== 'visible') return
  const running = await client.list({ filter: { state: State.RUNNING } }, { signal }).catch(() => undefined)
  if (running !== undefined && running.jobs.length > 0) add(running.jobs)
}
