import { type Job, State } from '../../gen/jobs/v1/jobs_pb.js'
import { formatBytes, formatSeconds, formatTime, msOf } from '../format.ts'
import { hrefOf } from '../router.ts'
import type { JobProps } from './job-props.ts'
import { stateClass, stateText } from './job-state.ts'
import { KillMenu } from './kill-menu.tsx'
import { OutputPane } from './output-pane.tsx'
import { StdinForm } from './stdin-form.tsx'
import { commandLine } from './table-model.ts'

/** One job: what is known of it, its output, and what can be done to it. */
export function JobDetail({ session, job, notify }: JobProps) {
  const runs = job.state === State.RUNNING
  return (
    <section class="job" aria-label={`Process ${job.pid}`}>
      <div class="bar">
        <a class="back" href={hrefOf({ view: 'processes', path: '' })} aria-label="Back to all processes">
          ←
        </a>
        <h2>Process {job.pid}</h2>
        <span class={`state ${stateClass(job)}`}>{stateText(job)}</span>
        <span class="space" />
        {runs ? <KillMenu session={session} job={job} notify={notify} /> : null}
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by the keyboard */}
      <p class="mono command" tabIndex={0}>
        {commandLine(job)}
      </p>
      <Facts job={job} />
      <OutputPane key={job.pid} session={session} pid={job.pid} />
      {runs ? <StdinForm key={job.pid} session={session} job={job} notify={notify} /> : null}
    </section>
  )
}

function Facts({ job }: { readonly job: Job }) {
  const { cpuSeconds, memoryBytes, peakMemoryBytes, ended } = job
  const lasted = ended === undefined ? undefined : (msOf(ended) - msOf(job.started)) / 1000
  const facts: [string, string | undefined][] = [
    ['User', job.user],
    ['Directory', job.cwd],
    ['Tag', job.tag],
    ['Started', formatTime(msOf(job.started))],
    ['Ended', ended === undefined ? undefined : formatTime(msOf(ended))],
    ['Took', lasted === undefined ? undefined : formatSeconds(lasted)],
    ['CPU', cpuSeconds === undefined ? undefined : formatSeconds(cpuSeconds)],
    ['Memory', memoryBytes === undefined ? undefined : formatBytes(memoryBytes)],
    ['Peak memory', peakMemoryBytes === undefined ? undefined : formatBytes(peakMemoryBytes)],
    ['Input', formatBytes(job.inputBytes)],
    ['Output', formatBytes(job.outputBytes)],
  ]
  return (
    <dl class="facts">
      {facts.map(([name, value]) =>
        value === undefined || value === '' ? null : (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ),
      )}
    </dl>
  )
}
