import { expect, test, vi } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { call, open, type Stream } from '../_util/rpc.ts'
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
  }
  const script = 'seq 1100; echo end; exec cat'
  for (const name of names)
    await drawn(await TerminalClient.open(daemon.url, 'Open', { name, command: 'sh', args: ['-c', script] }))
  const attachAll = async () => {
    for (const name of names) await drawn(await TerminalClient.open(daemon.url, 'Attach', { terminal: { name } }))
    await vi.waitUntil(async () => !(await used()), { timeout: 30_000 })
  }
  await attachAll()
  const before = await residentMegabytes(daemon.pid)
  for (let round = 0; round < ROUNDS; round++) await attachAll()
  const grown = (await residentMegabytes(daemon.pid)) - before
  expect(grown).toBeLessThan((ROUNDS * TERMINALS * SCREEN_MB) / 2)
  for (const name of names) await terminals('Close', { terminal: { name } })
})

/** Clients, and what the text of a screen takes on which every cell has colors of its own, in MB. */
const CLIENTS = 24
const TEXT_MB = 2.9

interface Message {
  readonly screen?: { readonly more?: boolean }
  readonly output?: { readonly data: string }
}

test('clients that stay attached keep nothing of the screen that they began with', { timeout: 120_000 }, async () => {
  await using daemon = await startDaemon()
  const cell = '\\033[38;2;1;%d;3;48;5;%dmx'
  const script = `awk 'BEGIN { for (i = 0; i < 80000; i++) printf "${cell}", i % 200, i % 100 }'; printf '\\033[0mend'; exec cat`
  const streams: Stream<Message>[] = []
  const begun = async (method: string, request: object) => {
    const stream = await open<Message>(daemon.url, `terminals.v1.Terminals/${method}`, request)
    streams.push(stream)
    for (;;) {
      const { screen, output } = await stream.next()
      if (output !== undefined && Buffer.from(output.data, 'base64').includes('end')) return
      if (method === 'Attach' && screen !== undefined && screen.more !== true) return
    }
  }
  const attach = async (count: number) => {
    for (let index = 0; index < count; index++) await begun('Attach', { terminal: { name: 'colors' } })
  }
  await begun('Open', { name: 'colors', command: 'sh', args: ['-c', script] })
  await attach(6)
  const before = await residentMegabytes(daemon.pid)
  await attach(CLIENTS)
  const grown = (await residentMegabytes(daemon.pid)) - before
  expect(grown).toBeLessThan((CLIENTS * TEXT_MB) / 2)
  for (const stream of streams) stream.close()
})
