import { createClient } from '@connectrpc/connect'
import { useState } from 'preact/hooks'
import { type Job, Jobs, Scope, Signal } from '../../gen/jobs/v1/jobs_pb.js'
import { Confirm } from '../components/dialog.tsx'
import { Menu } from '../components/menu.tsx'
import { reasonOf } from '../failure.ts'
import type { Session } from '../session.ts'
import type { JobProps } from './job-props.ts'
import { commandLine } from './table-model.ts'

/** One way to end a job. */
interface Ending {
  readonly title: string
  readonly signal: Signal
  readonly graceMs: number
  readonly scope: Scope
  /** What it cannot take back; undefined: it is done without asking. */
  readonly warning?: string
}

const GRACE_MS = 5_000

const ENDINGS: readonly Ending[] = [
  { title: 'Interrupt (SIGINT)', signal: Signal.SIGINT, graceMs: 0, scope: Scope.SESSION },
  { title: 'Terminate (SIGTERM)', signal: Signal.SIGTERM, graceMs: 0, scope: Scope.SESSION },
  {
    title: 'End process tree',
    signal: Signal.SIGTERM,
    graceMs: GRACE_MS,
    scope: Scope.SESSION,
    warning: 'All processes of its session get SIGTERM, and SIGKILL after 5 seconds.',
  },
  {
    title: 'Kill (SIGKILL)',
    signal: Signal.SIGKILL,
    graceMs: 0,
    scope: Scope.SESSION,
    warning: 'All processes of its session end at once and can save nothing.',
  },
  {
    title: 'Kill this process only',
    signal: Signal.SIGKILL,
    graceMs: 0,
    scope: Scope.LEADER,
    warning: 'It ends at once and can save nothing. Its children go on.',
  },
]

/** The signals that a job can be sent. */
export function KillMenu({ session, job, notify }: JobProps) {
  const [asked, setAsked] = useState<Ending | undefined>(undefined)
  const send = (ending: Ending) => {
    setAsked(undefined)
    void end(session, job, ending).then(
      (text) => notify(text, 'success'),
      (error: unknown) => notify(`${ending.title}: ${reasonOf(error)}`, 'error'),
    )
  }
  const items = ENDINGS.map((ending) => ({
    title: ending.title,
    danger: ending.signal === Signal.SIGKILL,
    onSelect: () => (ending.warning === undefined ? send(ending) : setAsked(ending)),
  }))
  return (
    <>
      <Menu title="Signal ▾" label={`Send a signal to process ${job.pid}`} items={items} />
      {asked === undefined ? null : (
        <Confirm
          title={`${asked.title}?`}
          action={asked.title}
          onConfirm={() => send(asked)}
          onClose={() => setAsked(undefined)}
        >
          <p class="mono command-line">{commandLine(job)}</p>
          <p>{asked.warning}</p>
        </Confirm>
      )}
    </>
  )
}

/** Resolves with what has become of it, when it has ended. The call goes on when the view is left. */
async function end(session: Session, { pid }: Job, { signal, graceMs, scope }: Ending): Promise<string> {
  const client = createClient(Jobs, session.transport)
  const { job, left } = await client.kill({ job: { selector: { case: 'pid', value: pid } }, signal, graceMs, scope })
  const others = left.length === 0 ? '' : `; of its session still live: ${left.join(', ')}`
  return `Process ${pid}: ${job?.status ?? 'ended'}${others}`
}
