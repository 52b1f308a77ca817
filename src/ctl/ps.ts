import type { Command, Invocation } from './command.ts'
import { JOB_HEAD, type Job, jobRow, listJobs } from './jobs.ts'
import { reopened } from './reopened.ts'
import { table } from './table.ts'

/** Lists jobs. */
export const ps: Command = {
  name: 'ps',
  usage: '[OPTION]...',
  summary: 'list the commands that run, newest first',
  words: [0, 0],
  options: {
    all: { type: 'boolean', short: 'a', help: 'and those that have ended, with the cause' },
    quiet: { type: 'boolean', short: 'q', help: 'pids only' },
    follow: { type: 'boolean', short: 'f', help: 'instead print each that starts or ends from now on' },
  },
  run: async (invocation) => {
    const { sandbox, json, flag, write } = invocation
    if (flag('follow')) return follow(invocation)
    const jobs = await listJobs(sandbox, flag('all') ? {} : { state: 'STATE_RUNNING' })
    if (json) await write(jobs.map((job) => `${JSON.stringify(job)}\n`).join(''))
    else if (flag('quiet')) await write(jobs.map(({ pid }) => `${pid}\n`).join(''))
    else await write(table(JOB_HEAD, jobs.map(jobRow)))
    return 0
  },
}

async function follow({ sandbox, json, write }: Invocation): Promise<number> {
  for await (const change of reopened(() =>
    sandbox.stream<{ readonly watching?: unknown; readonly started?: Job; readonly ended?: Job }>(
      'jobs.v1.Jobs/Watch',
      {},
    ),
  )) {
    const job = change.started ?? change.ended
    if (json && (job !== undefined || change.watching !== undefined)) await write(`${JSON.stringify(change)}\n`)
    if (json || job === undefined) continue
    await write(table([change.started === undefined ? 'ended  ' : 'started', ...jobRow(job)], []))
  }
  return 0
}
