import { useMemo, useState } from 'preact/hooks'
import type { Sample } from '../../gen/metrics/metrics_pb.js'
import { formatBytes, formatSeconds, formatTime } from '../format.ts'
import type { ViewProps } from '../views.ts'
import { useSamples } from './follow-samples.ts'
import { Plot } from './plot.tsx'
import { PLOTS } from './plots.ts'
import { SampleTable } from './sample-table.tsx'
import { lastSeconds, type Mark, marksOf } from './samples.ts'
import '../status.css'
import './style.css'

const RANGES = [
  { seconds: 300, title: '5 minutes' },
  { seconds: 900, title: '15 minutes' },
  { seconds: 3600, title: '1 hour' },
]

/** Plots of the last hour, which go on. */
export function View({ session, theme }: ViewProps) {
  const { samples, failure } = useSamples(session)
  const [range, setRange] = useState(900)
  const shown = useMemo(() => lastSeconds(samples, range), [samples, range])
  const marks = useMemo(() => marksOf(shown), [shown])
  const latest = samples.at(-1)
  if (latest === undefined) return <p class="empty">{failure === '' ? 'Loading…' : failure}</p>
  return (
    <div class="metrics">
      <div class="bar">
        <fieldset class="ranges">
          <legend class="visually-hidden">Time shown</legend>
          {RANGES.map(({ seconds, title }) => (
            <button key={seconds} type="button" aria-pressed={seconds === range} onClick={() => setRange(seconds)}>
              {title}
            </button>
          ))}
        </fieldset>
        <span class="space" />
        <Now sample={latest} />
      </div>
      <Marks marks={marks} />
      <div class="plots">
        {PLOTS.map((plot) => (
          <Plot key={plot.id} plot={plot} samples={shown} marks={marks} range={range} theme={theme} />
        ))}
      </div>
      <SampleTable samples={shown} />
    </div>
  )
}

function Now({ sample }: { readonly sample: Sample }) {
  const { cpuLimit, memTotal, load1m, daemonMemory, uptime } = sample
  const texts = [
    `${Math.round(cpuLimit * 100) / 100} CPUs`,
    formatBytes(memTotal),
    `load ${load1m.toFixed(2)}`,
    `daemon ${formatBytes(daemonMemory)}, up ${formatSeconds(uptime)}`,
  ]
  return <span class="hint">{texts.join(' · ')}</span>
}

/** What happened in the time shown. */
function Marks({ marks }: { readonly marks: readonly Mark[] }) {
  if (marks.length === 0) return null
  return (
    <ul class="marks" aria-label="Events">
      {marks.map(({ time, kind, text }) => (
        <li key={`${kind}${time}`} class={kind}>
          {formatTime(time * 1000)} {text}
        </li>
      ))}
    </ul>
  )
}
