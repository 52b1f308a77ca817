import { expect, test, vi } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { call } from '../_util/rpc.ts'
import { residentMegabytes } from '../process/proc.ts'
import { TerminalClient } from './terminal-client.ts'

/** One more than have a screen, so that each attachment in turn finds that its screen was given up. */
const TERMINALS = 33
const ROUNDS = 4

/** What a screen with its thousand lines takes at least, in MB: twelve bytes for each cell of 80 columns. */
const SCREEN_MB = 0.9

test('screens that were given up leave nothing behind at terminals that live', { timeout: 120_000 }, async () => {
  await using daemon = await startDaemon()
  const terminals = (method: string, message: object) => call(daemon.url, `terminals.v1.Terminals/${method}`, message)
  const names = Array.from({ length: TERMINALS }, (_, index) => `given-up-${index}`)
  const used = async () => JSON.stringify((await terminals('List', {})).body).includes('"clients"')
  const drawn = async (client: TerminalClient) => {
    await client.until(() => client.text().includes('end'))
    client.close()
    await vi.waitUntil(async () => !(await used()), { timeout: 15_000, interval: 1 })
  }
  const script = 'seq 1100; echo end; exec cat'
  for (const name of names)
    await drawn(await TerminalClient.open(daemon.url, 'Open', { name, command: 'sh', args: ['-c', script] }))
  const attachAll = async () => {
    for (const name of names) await drawn(await TerminalClient.open(daemon.url, 'Attach', { terminal: { name } }))
  }
  await attachAll()
  const before = await residentMegabytes(daemon.pid)
  for (let round = 0; round < ROUNDS; round++) await attachAll()
  const grown = (await residentMegabytes(daemon.pid)) - before
  expect(grown).toBeLessThan((ROUNDS * TERMINALS * SCREEN_MB) / 2)
  for (const name of names) await terminals('Close', { terminal: { name } })
})
