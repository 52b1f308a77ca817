import type { Job } from '../../gen/jobs/v1/jobs_pb.js'
import { formatBytes, formatSeconds, formatTime, msOf } from '../format.ts'
import { hrefOf } from '../router.ts'
import { stateClass, stateText } from './job-state.ts'
import { commandLine, keyOf, type Order, type SortKey } from './table-model.ts'

const COLUMNS: readonly { readonly key: SortKey; readonly title: string; readonly class: string }[] = [
  { key: 'pid', title: 'Pid', class: 'numeric' },
  { key: 'command', title: 'Command', class: '' },
  { key: 'state', title: 'State', class: '' },
  { key: 'user', title: 'User', class: 'minor' },
  { key: 'started', title: 'Started', class: 'minor' },
  { key: 'cpu', title: 'CPU', class: 'numeric minor' },
  { key: 'memory', title: 'Memory', class: 'numeric minor' },
  { key: 'peak', title: 'Peak', class: 'numeric minor' },
]

interface JobTableProps {
  readonly rows: readonly Job[]
  readonly order: Order
  readonly onOrder: (order: Order) => void
  readonly selected: number | undefined
}

/** The table of jobs, whose columns can be ordered by. Its rows lead to their jobs. */
export function JobTable({ rows, order, onOrder, selected }: JobTableProps) {
  const orderBy = (key: SortKey) => onOrder({ key, descending: key === order.key && !order.descending })
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by the keyboard
    <section class="table jobs" aria-label="Jobs" tabIndex={0}>
      <table>
        <thead>
          <tr>
            {COLUMNS.map(({ key, title, class: name }) => (
              <th key={key} scope="col" class={name} aria-sort={sortOf(key, order)}>
                <button type="button" class="order" onClick={() => orderBy(key)}>
                  {title}
                  <span aria-hidden="true">{key === order.key ? (order.descending ? ' ↓' : ' ↑') : ''}</span>
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((job) => (
            <Row key={keyOf(job)} job={job} selected={job.pid === selected} />
          ))}
        </tbody>
      </table>
    </section>
  )
}

function Row({ job, selected }: { readonly job: Job; readonly selected: boolean }) {
  const { cpuSeconds, memoryBytes, peakMemoryBytes } = job
  return (
    <tr class={selected ? 'selected' : ''} aria-current={selected ? 'true' : undefined}>
      <td class="numeric">{job.pid}</td>
      <td class="command">
        {job.tag === undefined ? null : <span class="tag">{job.tag}</span>}
        <a class="mono" href={hrefOf({ view: 'processes', path: `/${job.pid}` })}>
          {commandLine(job)}
        </a>
      </td>
      <td>
        <span class={`state ${stateClass(job)}`}>{stateText(job)}</span>
      </td>
      <td class="minor">{job.user}</td>
      <td class="minor">{formatTime(msOf(job.started))}</td>
      <td class="numeric minor">{cpuSeconds === undefined ? '–' : formatSeconds(cpuSeconds)}</td>
      <td class="numeric minor">{memoryBytes === undefined ? '–' : formatBytes(memoryBytes)}</td>
      <td class="numeric minor">{peakMemoryBytes === undefined ? '–' : formatBytes(peakMemoryBytes)}</td>
    </tr>
  )
}

function sortOf(key: SortKey, order: Order): 'ascending' | 'descending' | 'none' {
  if (key !== order.key) return 'none'
  return order.descending ? 'descending' : 'ascending'
}
