import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'

const daemon = commonDaemon()

/** Made by `scripts/python-environments`. */
const python = '.cache/python/agent-sandbox/bin/python'

function reasonOfAbsence(): string {
  const reason = '.cache/python/agent-sandbox.unavailable'
  return existsSync(reason) ? readFileSync(reason, 'utf8').trim() : 'scripts/python-environments was not run'
}

test('k8s-agent-sandbox 1.0.8 runs commands, types into them and signals them', async (context) => {
  if (!existsSync(python)) context.skip(reasonOfAbsence())
  const { host } = new URL(daemon.url)
  const { stdout } = await promisify(execFile)(python, ['test/e2e/python/agent_sandbox.py', host])
  expect(JSON.parse(stdout)).toEqual({
    ran: ['ä', '/tmp\n', 3],
    late: [124, true],
    streamed: ['typed', 0],
    signalled: [-1, -1, -1],
  })
}, 30_000)
