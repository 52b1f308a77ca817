import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { fastest } from '../_util/fastest.ts'
import { LAUNCHER } from './ctl.ts'

const daemon = commonDaemon()

const LIMIT_MS = 80

/** Processor time of a client with its launcher, in milliseconds. */
function processorTime(...args: string[]): number {
  const script = 'TIMEFORMAT="%U %S"; { time "$0" ctl "$@" >&3 2>&3; } 3>/dev/null 2>&1'
  const env = { PATH: process.env['PATH'] ?? '', ENVD_URL: daemon.url }
  const text = execFileSync('bash', ['-c', script, LAUNCHER, ...args], { encoding: 'utf8', env })
  return 1000 * text.split(' ').reduce((sum, seconds) => sum + Number(seconds), 0)
}

test.each([['--help'], ['ps'], ['run', 'true']])(
  'envd ctl %s starts in less than 80 ms of processor time',
  async (...args) => {
    const took = await fastest(LIMIT_MS, () => processorTime(...args))
    expect(took).toBeGreaterThan(0)
    expect(took).toBeLessThan(LIMIT_MS)
  },
)
