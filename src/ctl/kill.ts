import type { Command } from './command.ts'
import { numberOf } from './command-line.ts'
import { FAILED } from './exit-code.ts'
import { Failure } from './failure.ts'
import { BY_KEY, type Job, jobOf, stateText } from './jobs.ts'
import { writeError } from './session.ts'

const SIGNALS = ['TERM', 'KILL', 'INT']

/** Seconds between the signal and SIGKILL, as of docker-stop(1) and systemd more or less. */
const GRACE_S = 10

/** Beside the grace: what the daemon waits after SIGKILL, and the way there and back. */
const MARGIN_MS = 15_000

/** The longest timer. */
const LONGEST_MS = 2 ** 31 - 1

/** Ends a command with all that it started. */
export const kill: Command = {
  name: 'kill',
  usage: '[OPTION]... PID|TAG',
  summary: 'end a command with all that it started, and return when it is over',
  words: [1, 1],
  options: {
    signal: { type: 'string', short: 's', value: 'SIGNAL', help: 'TERM (default), KILL or INT' },
    grace: { type: 'string', value: 'SECONDS', help: `SIGKILL follows after them; default ${GRACE_S}, 0: never` },
    leader: { type: 'boolean', help: 'the command alone, not what it has started' },
    ...BY_KEY,
  },
  run: async ({ sandbox, words, text, flag, json, write }) => {
    const name = (text('signal') ?? 'TERM').toUpperCase().replace(/^SIG/, '')
    if (!SIGNALS.includes(name)) throw new Failure('usage', `a signal is one of ${SIGNALS.join(', ')}: ${name}`)
    const graceMs = 1000 * (numberOf(text('grace'), '--grace', 0) ?? GRACE_S)
    const job = jobOf(words[0], flag('key'))
    const scope = flag('leader') ? 'SCOPE_LEADER' : 'SCOPE_SESSION'
    const message = { job, signal: `SIGNAL_SIG${name}`, graceMs, scope }
    const timeout = graceMs === 0 ? LONGEST_MS : Math.min(LONGEST_MS, graceMs + MARGIN_MS)
    const answer = await sandbox.call<{ job: Job; left?: number[] }>('jobs.v1.Jobs/Kill', message, timeout)
    const { job: ended, left = [] } = answer
    await write(json ? `${JSON.stringify(answer)}\n` : `${stateText(ended)}\n`)
    if (!json && left.length > 0) await writeError(`envd ctl: still there: ${left.join(', ')}\n`)
    return ended.state === 'STATE_ENDED' ? 0 : FAILED
  },
}
