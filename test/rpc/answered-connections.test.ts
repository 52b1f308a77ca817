import { Agent, request } from 'node:http'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { shell } from '../_util/rpc.ts'
import { residentMegabytes } from '../process/proc.ts'

const CONNECTIONS = 200

/** What an answer of 256 KiB of output takes as JSON. */
const ANSWER_MB = 0.33

/** Calls on a connection of its own, which stays, and takes the whole answer; resolves with its length. */
function waitFor(port: number, agent: Agent, pid: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const headers = { 'content-type': 'application/json' }
  const call = request(
    { port, host: '127.0.0.1', agent, method: 'POST', path: '/jobs.v1.Jobs/Wait', headers },
    (answer) => {
      let length = 0
      answer.on('data', (piece: Buffer) => {
        length += piece.length
      })
      answer.on('end', () => resolve(length)).on('error', reject)
    },
  )
  call.on('error', reject).end(JSON.stringify({ job: { pid }, tailBytes: 256 * 1024 }))
  return promise
}

test('a connection that is kept holds nothing of its last answer', { timeout: 60_000 }, async () => {
  await using daemon = await startDaemon()
  const { pid } = await shell(daemon.url, "head -c 300000 /dev/zero | tr '\\0' x")
  const agents = Array.from({ length: CONNECTIONS }, () => new Agent({ keepAlive: true }))
  const ask = (agent: Agent) => waitFor(daemon.port, agent, pid)
  for (const agent of agents.slice(0, 20)) expect(await ask(agent)).toBeGreaterThan(ANSWER_MB * 2 ** 20)
  const before = await residentMegabytes(daemon.pid)
  for (const agent of agents) await ask(agent)
  const grown = (await residentMegabytes(daemon.pid)) - before
  for (const agent of agents) agent.destroy()
  expect(grown).toBeLessThan((CONNECTIONS * ANSWER_MB) / 2)
})
