import { useMemo, useState } from 'preact/hooks'
import type { ViewProps } from '../views.ts'
import { useJobs } from './follow-jobs.ts'
import { JobDetail } from './job-detail.tsx'
import { JobTable } from './job-table.tsx'
import { StartDialog } from './start-dialog.tsx'
import { type JobFilter, type Order, rowsOf } from './table-model.ts'
import '../status.css'
import './style.css'

const STATES: readonly JobFilter['state'][] = ['all', 'running', 'ended']

/** All jobs that the daemon knows, and the one of the address. */
export function View({ session, path, navigate, notify }: ViewProps) {
  const jobs = useJobs(session)
  const [order, setOrder] = useState<Order>({ key: 'started', descending: true })
  const [filter, setFilter] = useState<JobFilter>({ state: 'all', text: '' })
  const [starting, setStarting] = useState(false)
  const rows = useMemo(() => rowsOf(jobs ?? new Map(), filter, order), [jobs, filter, order])
  const pid = /^\/(\d+)$/.exec(path)?.[1]
  // The newest of a pid that was used again.
  const job = useMemo(() => newest(jobs, Number(pid)), [jobs, pid])
  const onStarted = (started: number) => {
    setStarting(false)
    navigate(`/${started}`)
  }
  return (
    <div class={pid === undefined ? 'processes' : 'processes chosen'}>
      <div class="list">
        <Toolbar filter={filter} onFilter={setFilter} onStart={() => setStarting(true)} />
        {rows.length > 0 ? (
          <JobTable rows={rows} order={order} onOrder={setOrder} selected={job?.pid} />
        ) : (
          <p class="empty">{jobs === undefined ? 'Loading…' : emptyText(jobs.size)}</p>
        )}
      </div>
      {job === undefined ? null : <JobDetail session={session} job={job} notify={notify} />}
      {job === undefined && pid !== undefined && jobs !== undefined ? (
        <p class="empty">The daemon knows no process {pid}.</p>
      ) : null}
      {starting ? <StartDialog session={session} onStarted={onStarted} onClose={() => setStarting(false)} /> : null}
    </div>
  )
}

function newest(jobs: ReturnType<typeof useJobs>, pid: number) {
  const order: Order = { key: 'started', descending: true }
  return rowsOf(jobs ?? new Map(), { state: 'all', text: '' }, order).find((job) => job.pid === pid)
}

function emptyText(known: number): string {
  return known === 0 ? 'No command was started yet.' : 'No command matches.'
}

interface ToolbarProps {
  readonly filter: JobFilter
  readonly onFilter: (filter: JobFilter) => void
  readonly onStart: () => void
}

function Toolbar({ filter, onFilter, onStart }: ToolbarProps) {
  return (
    <div class="bar">
      <input
        type="search"
        placeholder="Filter"
        aria-label="Filter by command, tag, user, pid or end"
        value={filter.text}
        onInput={(event) => onFilter({ ...filter, text: event.currentTarget.value })}
      />
      <select
        aria-label="State"
        value={filter.state}
        onChange={(event) => onFilter({ ...filter, state: STATES[event.currentTarget.selectedIndex] ?? 'all' })}
      >
        <option value="all">All</option>
        <option value="running">Running</option>
        <option value="ended">Ended</option>
      </select>
      <span class="space" />
      <button type="button" class="primary" onClick={onStart}>
        Start a command
      </button>
    </div>
  )
}
