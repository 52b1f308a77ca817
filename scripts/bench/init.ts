import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { latencyOf, lower, type Measure } from './measure.ts'

const LEAVERS = fileURLToPath(new URL('init-leavers.ts', import.meta.url))

/** Callers whose attempts are under way all the time; each second as many give up and come again. */
const CALLERS = 1_000
const ATTEMPT_MS = 1_000

/**
 * What an orchestrator sends to a sandbox without volumes or certificates, but the token: the daemon is to stay open
 * for other measures.
 */
const body = () =>
  JSON.stringify({
    lifecycleID: '7c0e1b7c-6a53-4c5b-8f0e-0d1d2f6f7a10',
    envVars: { API_KEY: 'x'.repeat(64), NODE_ENV: 'production' },
    hyperloopIP: '',
    timestamp: new Date().toISOString(),
  })

/** `POST /init` alone, and among attempts whose clients do not wait for the answer. */
export const init: Measure = {
  name: 'init',
  async run({ client }) {
    const call = () => client.send({ method: 'POST', path: '/init', body: body() })
    const alone = await latencyOf(call, { count: 1_000 })
    const leavers = fork(LEAVERS, [client.url.href, String(CALLERS), String(ATTEMPT_MS)])
    try {
      await once(leavers, 'message')
      const amid = await latencyOf(call, { count: 1_000 })
      return [
        lower('POST /init p50, ms', alone.p50),
        lower('POST /init p99, ms', alone.p99),
        lower('POST /init amid 1,000 aborted attempts p99, ms', amid.p99),
      ]
    } finally {
      await end(leavers)
    }
  },
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}
