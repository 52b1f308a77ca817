import { constants } from 'node:os'
import type { ProcessEnd } from './process-stream.ts'

/** The exit code of a client whose own part failed, as of docker(1): no command's, as a rule. */
export const FAILED = 125

const SIGNALLED = 128

/** Words of the daemon for signals that end commands as a rule; all others count as SIGKILL. */
const SIGNALS: Readonly<Record<string, NodeJS.Signals>> = {
  hangup: 'SIGHUP',
  interrupt: 'SIGINT',
  quit: 'SIGQUIT',
  aborted: 'SIGABRT',
  'segmentation fault': 'SIGSEGV',
  'broken pipe': 'SIGPIPE',
  'alarm clock': 'SIGALRM',
  terminated: 'SIGTERM',
}

/** The exit code that passes an end on, as a shell would: that of the command, or 128 and the number of its signal. */
export function exitCodeOf({ exited, exitCode, status }: ProcessEnd): number {
  if (exited) return exitCode
  const [, word = ''] = /^signal: ([^(]*?)( \(|$)/.exec(status) ?? []
  return SIGNALLED + constants.signals[SIGNALS[word] ?? 'SIGKILL']
}
