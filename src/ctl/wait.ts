import type { Command } from './command.ts'
import { numberOf } from './command-line.ts'
import { BY_KEY, type Job, jobExitCode, jobOf, pidOf, stateText } from './jobs.ts'
import { repeated } from './reopened.ts'

/** What a call waits at most, so that a connection which is gone is found. */
const ROUND_MS = 10_000

/** Exit code as of timeout(1). */
const TIMED_OUT = 124

/** Waits for the end of a command, and passes its exit code on. */
export const wait: Command = {
  name: 'wait',
  usage: '[OPTION]... PID|TAG',
  summary: 'wait until a command has ended, and exit as it did',
  words: [1, 1],
  options: {
    timeout: { type: 'string', value: 'SECONDS', help: `the longest time; then exit with ${TIMED_OUT}` },
    ...BY_KEY,
  },
  run: async ({ sandbox, words, text, flag, json, write }) => {
    const seconds = numberOf(text('timeout'), '--timeout', 0)
    const until = seconds === undefined ? Number.POSITIVE_INFINITY : performance.now() + seconds * 1000
    const pid = await pidOf(sandbox, jobOf(words[0], flag('key')))
    for (;;) {
      const timeoutMs = Math.round(Math.min(ROUND_MS, Math.max(0, until - performance.now())))
      const message = { job: { pid }, timeoutMs, tailBytes: 0 }
      const { job } = await repeated(() => sandbox.call<{ job: Job }>('jobs.v1.Jobs/Wait', message))
      const ended = job.state === 'STATE_ENDED'
      if (!ended && performance.now() < until) continue
      await write(json ? `${JSON.stringify(job)}\n` : `${stateText(job)}\n`)
      return ended ? jobExitCode(job) : TIMED_OUT
    }
  },
}
