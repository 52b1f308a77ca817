import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { call, open, type ProcessMessage, pidOf } from '../_util/rpc.ts'

const MIB = 1024 * 1024

/** Bytes in the budget by kind, those that are not 0. */
async function held(url: string): Promise<Record<string, number>> {
  const { text } = await sendWhole(`${url}/metrics`, { headers: { accept: 'application/openmetrics-text' } })
  const lines = [...text.matchAll(/^envd_budget_bytes\{kind="(\w+)"\} (\d+)/gm)]
  return Object.fromEntries(lines.map(([, kind, bytes]) => [kind, Number(bytes)]).filter(([, bytes]) => bytes !== 0))
}

/** A command with so many bytes of arguments. */
function idle(url: string, bytes: number) {
  const argument = 'x'.repeat(100_000)
  const args = ['-c', 'sleep 1000', ...Array.from({ length: bytes / argument.length }, () => argument)]
  return open<ProcessMessage>(url, 'process.Process/Start', { process: { cmd: '/bin/sh', args }, stdin: false })
}

test('what running commands were started with is counted until they end', async () => {
  await using daemon = await startDaemon()
  const streams = await Promise.all([idle(daemon.url, MIB), idle(daemon.url, MIB)])
  const pids = await Promise.all(streams.map(pidOf))
  expect((await held(daemon.url))['command']).toBeGreaterThan(1.9 * MIB)
  const { body } = await call(daemon.url, 'process.Process/List', {})
  expect(JSON.stringify(body).length).toBeGreaterThan(1.9 * MIB)
  for (const pid of pids)
    await call(daemon.url, 'process.Process/SendSignal', { process: { pid }, signal: 'SIGNAL_SIGKILL' })
  for (const stream of streams) await stream.rest()
  await expect.poll(() => held(daemon.url)).toEqual({})
})
