import { readFileSync } from 'node:fs'
import { expect, test, vi } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { call, open } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { TerminalClient } from './terminal-client.ts'

const daemon = commonDaemon()
const terminals = (method: string, message: object) => call(daemon.url, `terminals.v1.Terminals/${method}`, message)
const opened = (name: string, script: string) =>
  TerminalClient.open(daemon.url, 'Open', { name, command: 'sh', args: ['-c', script] })
const attached = (name: string) => TerminalClient.open(daemon.url, 'Attach', { terminal: { name } })

test('of 40 terminals opened at the same instant 32 have a screen, the others are refused in words, and later all have one', async () => {
  const names = Array.from({ length: 40 }, (_, index) => `many-${index}`)
  const all = await Promise.allSettled(names.map((name) => opened(name, `echo ${name}.; exec cat`)))
  const clients = all.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  expect(clients).toHaveLength(32)
  for (const client of clients) await client.until(() => client.text().includes(`${client.attached.name}.`))
  const refused = names.find((name) => !clients.some(({ attached }) => attached.name === name))
  const attach = await open(daemon.url, 'terminals.v1.Terminals/Attach', { terminal: { name: refused } })
  expect((await attach.rest()).end).toMatchObject({ error: { code: 'resource_exhausted' } })
  // A screen that is not read makes room, and is drawn anew.
  for (const client of clients) client.close()
  await vi.waitUntil(async () => !JSON.stringify((await terminals('List', {})).body).includes('"clients"'), {
    timeout: 15_000,
  })
  for (const name of names) {
    const client = await attached(name)
    await client.until(() => client.text().includes(`${name}.`))
    client.close()
    expect((await terminals('Close', { terminal: { name } })).status).toBe(200)
  }
})

test('Close waits for the grace also for those who outlive the shell', async () => {
  await using dir = await makeTmpDir()
  const last = `for i in 1 2 3 4 5 6; do sleep 0.05; done; echo done >${dir.path}/last; exit`
  const child = await opened(
    'outlived',
    `(trap : HUP; trap '${last}' TERM; echo up; while :; do sleep 0.05; done) & wait`,
  )
  await child.until(() => child.text().includes('up'))
  expect((await terminals('Close', { terminal: { name: 'outlived' }, graceMs: 20_000 })).status).toBe(200)
  expect(readFileSync(`${dir.path}/last`, 'utf8')).toBe('done\n')
  child.close()
})

test('Close sends SIGKILL also if its caller has left', async () => {
  const client = await opened('left', "trap 'echo caught' TERM; echo up; while :; do sleep 0.05; done")
  await client.until(() => client.text().includes('up'))
  const leave = new AbortController()
  const closing = fetch(`${daemon.url}/terminals.v1.Terminals/Close`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ terminal: { name: 'left' }, graceMs: 1000 }),
    signal: leave.signal,
  })
  await client.until(() => client.text().includes('caught'))
  leave.abort()
  await expect(closing).rejects.toMatchObject({ name: 'AbortError' })
  await client.until(() => client.end !== undefined)
  expect(client.end).toMatchObject({ status: 'signal: killed' })
})
