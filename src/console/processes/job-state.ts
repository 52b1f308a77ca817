import { Cause, type Job, Limit, State } from '../../gen/jobs/v1/jobs_pb.js'

const CAUSES: Readonly<Record<Cause, string>> = {
  [Cause.UNSPECIFIED]: '',
  [Cause.EXIT]: '',
  [Cause.SIGNAL]: '',
  [Cause.OUT_OF_MEMORY]: 'out of memory',
  [Cause.DEADLINE]: 'deadline',
  [Cause.LIMIT]: 'its memory limit',
  [Cause.DAEMON_STOPPED]: 'daemon stopped',
  [Cause.UNKNOWN]: 'not known',
}

const LIMITS: Readonly<Record<Limit, string>> = {
  [Limit.UNSPECIFIED]: '',
  [Limit.MEMORY]: 'memory',
  [Limit.PIDS]: 'processes',
}

/** The state of a job, its exit and the cause of its end, in one line. */
export function stateText({ state, status, cause, limitsHit }: Job): string {
  if (state === State.RUNNING) return 'running'
  const limits = limitsHit.length === 0 ? '' : `limits met: ${limitsHit.map((limit) => LIMITS[limit]).join(', ')}`
  const notes = [CAUSES[cause], limits].filter((text) => text !== '')
  return (status === '' ? 'ended' : status) + (notes.length === 0 ? '' : ` (${notes.join('; ')})`)
}

/** How it looks: `running`, `good` or `bad`. */
export function stateClass({ state, exitCode }: Job): string {
  if (state === State.RUNNING) return 'running'
  return exitCode === 0 ? 'good' : 'bad'
}
