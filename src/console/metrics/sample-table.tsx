import { useState } from 'preact/hooks'
import type { Sample } from '../../gen/metrics/metrics_pb.js'
import { type Column, Table } from '../components/table.tsx'
import { formatTime, msOf } from '../format.ts'

/** Rows that are there at once; more take long to draw. */
const FIRST_ROWS = 150

const number = (id: string, title: string, value: (sample: Sample) => number | bigint): Column<Sample> => ({
  id,
  title,
  numeric: true,
  cell: (sample) => <data value={String(value(sample))}>{String(value(sample))}</data>,
})

const COLUMNS: readonly Column<Sample>[] = [
  {
    id: 'time',
    title: 'Time',
    cell: ({ timestamp }) => (
      <time dateTime={new Date(msOf(timestamp)).toISOString()}>{formatTime(msOf(timestamp))}</time>
    ),
  },
  number('cpu', 'CPU %', ({ cpuUsedPct }) => cpuUsedPct),
  number('mem-used', 'Memory used, bytes', ({ memUsed }) => memUsed),
  number('mem-cache', 'Cache, bytes', ({ memCache }) => memCache),
  number('mem-total', 'Memory limit, bytes', ({ memTotal }) => memTotal),
  number('disk-used', 'Disk used, bytes', ({ diskUsed }) => diskUsed),
  number('disk-total', 'Disk size, bytes', ({ diskTotal }) => diskTotal),
  number('io-read', 'Read in all, bytes', ({ ioReadBytes }) => ioReadBytes),
  number('io-written', 'Written in all, bytes', ({ ioWrittenBytes }) => ioWrittenBytes),
  number('commands', 'Commands', ({ commandCount }) => commandCount),
  number('processes', 'Processes', ({ processCount }) => processCount),
  number('oom', 'OOM kills', ({ oomKills }) => oomKills),
  number('service-restarts', 'Service restarts', ({ serviceRestarts }) => serviceRestarts),
]

/** What the plots show, as exact numbers, newest first; made when it is opened. */
export function SampleTable({ samples }: { readonly samples: readonly Sample[] }) {
  const [open, setOpen] = useState(false)
  const [all, setAll] = useState(false)
  const rows = samples.toReversed().slice(0, all ? undefined : FIRST_ROWS)
  return (
    <details class="values" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Values</summary>
      {open ? (
        <>
          <Table
            label="Values of the plots"
            columns={COLUMNS}
            rows={rows}
            keyOf={({ timestamp }) => `${timestamp?.seconds}.${timestamp?.nanos}`}
            empty="No sample yet."
          />
          {rows.length < samples.length ? (
            <button type="button" onClick={() => setAll(true)}>
              Show all {samples.length}
            </button>
          ) : null}
        </>
      ) : null}
    </details>
  )
}
