import { createClient } from '@connectrpc/connect'
import { Activity as ActivityService, Kind, type Reason, type Status } from '../../gen/activity/v1/activity_pb.js'
import { Failure } from '../components/failure.tsx'
import { useFollowed } from '../follow.ts'
import { formatTime, msOf } from '../format.ts'
import type { Attempt } from '../reconnect.ts'
import { hrefOf } from '../router.ts'
import type { Session } from '../session.ts'

async function followActivity(session: Session, attempt: Attempt, show: (status: Status) => void): Promise<void> {
  for await (const { event } of createClient(ActivityService, session.transport).watch({}, attempt)) {
    attempt.heard()
    if (event.case === 'status') show(event.value)
  }
}

const KINDS: Readonly<Record<Kind, string>> = {
  [Kind.UNSPECIFIED]: '',
  [Kind.CPU]: 'uses the CPU',
  [Kind.OUTPUT]: 'has written output',
  [Kind.INPUT]: 'was written to',
  [Kind.STREAM]: 'A stream is open',
  [Kind.PORT]: 'A client is connected to port',
  [Kind.UPLOAD]: 'Uploads under way:',
  [Kind.DOWNLOAD]: 'Downloads under way:',
  [Kind.CALL]: 'A call has acted on files or commands',
}

/** Whether the sandbox is in use, and why. */
export function Activity({ session }: { readonly session: Session }) {
  const { value, failure } = useFollowed(session, followActivity)
  return (
    <div class="part">
      <h2>Activity</h2>
      <Failure text={failure} />
      {value === undefined ? <p class="hint">Loading…</p> : <Shown status={value} />}
    </div>
  )
}

function Shown({ status }: { readonly status: Status }) {
  const { busy, since, reasons, moreReasons } = status
  return (
    <>
      <p>
        <span class={`state ${busy ? 'running' : ''}`}>{busy ? 'busy' : 'idle'}</span>
        <span class="hint"> since {formatTime(msOf(since))}</span>
      </p>
      <ul>
        {reasons.map((reason) => (
          <li
            key={`${reason.kind} ${reason.pid} ${reason.port} ${msOf(reason.reader?.since)} ${reason.reader?.method}`}
          >
            <ReasonText reason={reason} />
          </li>
        ))}
      </ul>
      {moreReasons > 0 ? <p>and {moreReasons} more</p> : null}
    </>
  )
}

function ReasonText({ reason }: { readonly reason: Reason }) {
  const { kind, pid, command, tag, reader, port, connections, transfers } = reason
  const process =
    pid === 0 ? null : (
      <a class="mono" href={hrefOf({ view: 'processes', path: `/${pid}` })}>
        {command === '' ? pid : `${command} (${pid})`}
      </a>
    )
  const tagText = tag === undefined ? '' : ` [${tag}]`
  if (kind === Kind.PORT) return <>{`${KINDS[kind]} ${port} (${connections})`}</>
  // For some seconds after the last one.
  if (kind === Kind.UPLOAD && transfers === 0) return <>An upload has just ended</>
  if (kind === Kind.DOWNLOAD && transfers === 0) return <>A download has just ended</>
  if (kind === Kind.UPLOAD || kind === Kind.DOWNLOAD) return <>{`${KINDS[kind]} ${transfers}`}</>
  if (reader === undefined && process === null) return <>{KINDS[kind]}</>
  if (reader === undefined)
    return (
      <>
        {process}
        {`${tagText} ${KINDS[kind]}`}
      </>
    )
  return (
    <>
      {`${KINDS[kind]}: ${reader.method} `}
      {process}
      <span class="hint" title={reader.userAgent}>
        {` from ${[reader.address, shortened(reader.userAgent)].filter((text) => text !== '').join(', ')}`}
      </span>
    </>
  )
}

/** Characters of the name of a client. */
const MAX_CLIENT = 60

function shortened(userAgent: string): string {
  return userAgent.length > MAX_CLIENT ? `${userAgent.slice(0, MAX_CLIENT).trimEnd()}…` : userAgent
}
