import type { Command } from './command.ts'
import { numberOf } from './command-line.ts'
import { JOB_HEAD, type Job, jobRow, listJobs } from './jobs.ts'
import { reopened, repeated } from './reopened.ts'
import { sizeText, table } from './table.ts'

/** What is shown of a sample as JSON (`metrics.Sample`); what is 0 is left out. */
interface Sample {
  readonly cpuUsedPct?: number
  readonly cpuLimit?: number
  readonly load1m?: number
  readonly memTotal?: string
  readonly memUsed?: string
  readonly diskTotal?: string
  readonly diskUsed?: string
  readonly oomKills?: string
  readonly processCount?: number
}

/** ECMA-48: cursor to the corner, and everything behind it erased. */
const FROM_THE_TOP = '\x1b[H\x1b[J'

/** Shows metrics and commands, every two seconds. */
export const top: Command = {
  name: 'top',
  usage: '[OPTION]...',
  summary: 'show metrics and the commands that run, again with every sample',
  words: [0, 0],
  options: { count: { type: 'string', short: 'n', value: 'N', help: 'so many times' } },
  run: async ({ sandbox, text, json, write }) => {
    let left = numberOf(text('count'), '--count') ?? Number.POSITIVE_INFINITY
    for await (const { sample } of reopened(() => sandbox.stream<{ sample?: Sample }>('metrics.Metrics/Watch', {}))) {
      if (sample === undefined) continue
      const jobs = await repeated(() => listJobs(sandbox, { state: 'STATE_RUNNING' }))
      if (json) await write(`${JSON.stringify({ sample, jobs })}\n`)
      else await write(`${process.stdout.isTTY ? FROM_THE_TOP : ''}${screenOf(sample, jobs)}`)
      left -= 1
      if (left <= 0) break
    }
    return 0
  },
}

function screenOf(sample: Sample, jobs: readonly Job[]): string {
  const { cpuUsedPct = 0, cpuLimit = 0, load1m = 0, processCount = 0, oomKills = '0' } = sample
  const size = (text = '0') => sizeText(Number(text))
  const lines = [
    `cpu ${cpuUsedPct.toFixed(1)} % of ${cpuLimit}, load ${load1m}, ${processCount} processes`,
    `memory ${size(sample.memUsed)} of ${size(sample.memTotal)}, ${oomKills} killed for lack of it`,
    `disk ${size(sample.diskUsed)} of ${size(sample.diskTotal)}`,
  ]
  return `${lines.join('\n')}\n\n${table(JOB_HEAD, jobs.map(jobRow))}`
}
