import { createClient } from '@connectrpc/connect'
import { useState } from 'preact/hooks'
import { State, type Status, Supervisor } from '../../gen/supervisor/supervisor_pb.js'
import { Failure } from '../components/failure.tsx'
import type { Notify } from '../components/toast.tsx'
import { reasonOf } from '../failure.ts'
import { useFollowed } from '../follow.ts'
import { formatTime, msOf } from '../format.ts'
import { OutputPane } from '../processes/output-pane.tsx'
import type { Attempt } from '../reconnect.ts'
import { hrefOf } from '../router.ts'
import type { Session } from '../session.ts'

type Statuses = ReadonlyMap<string, Status>

async function followServices(session: Session, attempt: Attempt, show: (statuses: Statuses) => void): Promise<void> {
  const statuses = new Map<string, Status>()
  for await (const { event } of createClient(Supervisor, session.transport).watch({ all: true }, attempt)) {
    attempt.heard()
    if (event.case !== 'status') continue
    statuses.set(event.value.service, event.value)
    show(new Map(statuses))
  }
}

/** The start command and all other services, with their states. */
export function Services({ session, notify }: { readonly session: Session; readonly notify: Notify }) {
  const { value, failure } = useFollowed(session, followServices)
  return (
    <div class="part">
      <h2>Services</h2>
      <Failure text={failure} />
      {value === undefined ? <p class="hint">Loading…</p> : null}
      {[...(value?.values() ?? [])].map((status) => (
        <Service key={status.service} session={session} status={status} notify={notify} />
      ))}
    </div>
  )
}

/** States, as the protocol names them, and how they look. */
const STATES: Readonly<Record<State, readonly [text: string, look: string]>> = {
  [State.UNSPECIFIED]: ['unknown', ''],
  [State.WAITING]: ['waiting', ''],
  [State.STARTING]: ['starting', 'running'],
  [State.READY]: ['ready', 'good'],
  [State.STOPPING]: ['stopping', 'running'],
  [State.BACKING_OFF]: ['backing off', 'bad'],
  [State.FAILED]: ['failed', 'bad'],
  [State.STOPPED]: ['stopped', ''],
  [State.DEGRADED]: ['degraded', 'bad'],
}

/** States in which it can be started. */
const STARTABLE: readonly State[] = [State.BACKING_OFF, State.FAILED, State.STOPPED]

interface ServiceProps {
  readonly session: Session
  readonly status: Status
  readonly notify: Notify
}

function Service({ session, status, notify }: ServiceProps) {
  const [shown, setShown] = useState(false)
  const { service, state, reason, pid, restarts, nextStart, text } = status
  const [name, look] = STATES[state]
  return (
    <article class="service" aria-label={`Service ${service}`}>
      <div class="bar">
        <h3>{service}</h3>
        <span class={`state ${look}`}>{name}</span>
        <span class="hint">since {formatTime(msOf(status.since))}</span>
        <span class="space" />
        <div class="actions">
          {pid === undefined ? null : (
            <button type="button" aria-expanded={shown} onClick={() => setShown(!shown)}>
              {shown ? 'Hide output' : 'Show output'}
            </button>
          )}
          <Controls session={session} status={status} notify={notify} />
        </div>
      </div>
      {reason === '' || reason === name ? null : <p class="reason">{reason}</p>}
      {text === '' ? null : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by the keyboard
        <section class="last" tabIndex={0} aria-label={`Last output of ${service}`}>
          <pre>{text}</pre>
        </section>
      )}
      <p class="hint">
        {pid === undefined ? 'not running' : <a href={hrefOf({ view: 'processes', path: `/${pid}` })}>process {pid}</a>}
        {` · ${restarts} ${restarts === 1 ? 'restart' : 'restarts'}`}
        {nextStart === undefined ? '' : ` · next start ${formatTime(msOf(nextStart))}`}
      </p>
      {shown && pid !== undefined ? (
        <div class="output">
          <OutputPane key={pid} session={session} pid={pid} />
        </div>
      ) : null}
    </article>
  )
}

function Controls({ session, status: { service, state, pid }, notify }: ServiceProps) {
  const [busy, setBusy] = useState(false)
  const client = createClient(Supervisor, session.transport)
  const run = async (title: string, action: () => Promise<unknown>) => {
    setBusy(true)
    try {
      await action()
    } catch (error) {
      notify(`${title} ${service}: ${reasonOf(error)}`, 'error')
    }
    setBusy(false)
  }
  const stop = () => client.stop({ service })
  const start = () => client.start({ service })
  const startable = STARTABLE.includes(state)
  return (
    <>
      {startable ? (
        <button type="button" disabled={busy} onClick={() => void run('Start', start)}>
          Start
        </button>
      ) : null}
      {pid === undefined || startable ? null : (
        <>
          <button type="button" disabled={busy} onClick={() => void run('Restart', () => stop().then(start))}>
            Restart
          </button>
          <button type="button" disabled={busy} onClick={() => void run('Stop', stop)}>
            Stop
          </button>
        </>
      )}
    </>
  )
}
