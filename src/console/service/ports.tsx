import { createClient } from '@connectrpc/connect'
import { type Listener, Ports } from '../../gen/ports/ports_pb.js'
import { Failure } from '../components/failure.tsx'
import { type Column, Table } from '../components/table.tsx'
import type { Notify } from '../components/toast.tsx'
import { reasonOf } from '../failure.ts'
import { useFollowed } from '../follow.ts'
import { formatTime, msOf } from '../format.ts'
import type { Attempt } from '../reconnect.ts'
import type { Session } from '../session.ts'
import { type Listeners, type Port, portsOf, withEvent } from './port-list.ts'

async function followPorts(session: Session, attempt: Attempt, show: (listeners: Listeners) => void): Promise<void> {
  let listeners: Listeners = new Map()
  for await (const message of createClient(Ports, session.transport).watch({}, attempt)) {
    attempt.heard()
    listeners = withEvent(listeners, message)
    if (message.event.case !== 'snapshot' || !message.event.value.more) show(listeners)
  }
}

/** The ports that are listened on, with links that lead through the daemon's own port. */
export function PortList({ session, notify }: { readonly session: Session; readonly notify: Notify }) {
  const { value, failure } = useFollowed(session, followPorts)
  return (
    <div class="part">
      <h2>Ports</h2>
      <Failure text={failure} />
      <Table
        label="Ports"
        columns={columnsOf(session, notify)}
        rows={value === undefined ? [] : portsOf(value)}
        keyOf={({ port }) => String(port)}
        empty={value === undefined ? 'Loading…' : 'Nothing listens.'}
      />
    </div>
  )
}

const lines = (texts: readonly string[]) => [...new Set(texts)].map((text) => <div key={text}>{text}</div>)

function columnsOf(session: Session, notify: Notify): Column<Port>[] {
  return [
    { id: 'port', title: 'Port', cell: (row) => <PortCell session={session} row={row} notify={notify} /> },
    { id: 'process', title: 'Process', cell: ({ listeners }) => <Owner listener={listeners[0]} /> },
    { id: 'state', title: 'State', cell: ({ listeners }) => lines(listeners.map(({ state }) => state)) },
    {
      id: 'address',
      title: 'Address',
      minor: true,
      cell: ({ listeners }) => lines(listeners.map((one) => one.address)),
    },
    { id: 'user', title: 'User', minor: true, cell: ({ listeners }) => lines(listeners.map(({ user }) => user)) },
    {
      id: 'since',
      title: 'Since',
      minor: true,
      cell: ({ listeners }) => formatTime(Math.min(...listeners.map(({ since }) => msOf(since)))),
    },
  ]
}

function Owner({ listener }: { readonly listener: Listener | undefined }) {
  if (listener === undefined || listener.pid === 0) return <span class="hint">not known</span>
  const { command, args, pid } = listener
  return (
    <span class="mono" title={args.join(' ')}>
      {command} ({pid})
    </span>
  )
}

interface PortLinkProps {
  readonly session: Session
  readonly port: number
  readonly notify: Notify
}

/** How `ports.Ports` says of the daemon's own port that it is reached by no other. */
const OWN = "the port is the daemon's own"

interface PortCellProps extends Omit<PortLinkProps, 'port'> {
  readonly row: Port
}

function PortCell({ row: { port, listeners }, ...props }: PortCellProps) {
  if (listeners.some(({ state }) => state.endsWith(OWN))) return <>{port}</>
  return <PortLink port={port} {...props} />
}

/**
 * Opens the port in a tab of its own. Navigation cannot show the token, so the daemon is asked to let the browser pass
 * first.
 */
function PortLink({ session, port, notify }: PortLinkProps) {
  const href = `${session.baseUrl}/ports/${port}/`
  const open = (event: MouseEvent) => {
    event.preventDefault()
    session.fetch(`/port-access?port=${port}`, { method: 'POST' }).then(
      ({ ok, status }) =>
        ok
          ? void window.open(href, '_blank', 'noopener')
          : notify(`Port ${port} cannot be opened: the daemon answered ${status}.`, 'error'),
      (error: unknown) => notify(`Port ${port}: ${reasonOf(error)}`, 'error'),
    )
  }
  return (
    <a href={href} target="_blank" rel="noopener" onClick={open} aria-label={`Open port ${port} in a new tab`}>
      {port} ↗
    </a>
  )
}
