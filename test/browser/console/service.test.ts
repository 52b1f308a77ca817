import { createServer } from 'node:http'
import { createClient } from '@connectrpc/connect'
import { createConnectTransport } from '@connectrpc/connect-node'
import { beforeEach, expect, test } from 'vitest'
import { State, Supervisor } from '../../../src/gen/supervisor/supervisor_pb.js'
import { needsChromium } from '../browser.ts'
import { openConsole } from './open-console.ts'

beforeEach(needsChromium)

/** What a page says in its console while its daemon is away. */
const LOST = /ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY|ERR_ABORTED/

test('the start command is seen, stopped, started and restarted, and its output is followed', async () => {
  const args = ['-start-cmd', 'echo "run of $$"; sleep 1000', '-ready-cmd', 'true']
  await using opened = await openConsole({ args })
  const { page, daemon } = opened
  const supervisor = createClient(Supervisor, createConnectTransport({ baseUrl: daemon.url, httpVersion: '1.1' }))
  await page.getByRole('link', { name: 'Service' }).click()
  const service = page.getByRole('article', { name: 'Service start' })
  await service.getByText('ready', { exact: true }).waitFor()
  await service.getByRole('button', { name: 'Show output' }).click()
  const first = (await supervisor.get({})).status?.pid
  await service.getByText(`run of ${first}`).waitFor()
  await service.getByRole('button', { name: 'Restart' }).click()
  await expect
    .poll(async () => (await supervisor.get({})).status)
    .toMatchObject({ state: State.READY, pid: expect.any(Number) })
  await expect.poll(async () => (await supervisor.get({})).status?.pid).not.toBe(first)
  await service.getByText(`run of ${(await supervisor.get({})).status?.pid}`).waitFor()
  await service.getByRole('button', { name: 'Stop' }).click()
  await service.getByText('stopped', { exact: true }).waitFor()
  await service.getByRole('button', { name: 'Start' }).click()
  await service.getByText('ready', { exact: true }).waitFor()
})

test('a port that opens is listed with its state, also when the daemon is killed and returns; activity has reasons', async () => {
  await using opened = await openConsole({ restarts: true, tolerates: [LOST] })
  const { page, daemon } = opened
  await page.getByRole('link', { name: 'Service' }).click()
  const ports = page.getByRole('region', { name: 'Ports' }).last()
  const [first, second] = [createServer(), createServer()]
  const portOf = async (server: typeof first) => {
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve))
    const address = server.address()
    return typeof address === 'object' ? String(address?.port) : ''
  }
  try {
    const row = ports.getByRole('row', { name: `Open port ${await portOf(first)}` })
    await row.getByText('reachable on all addresses').waitFor()
    process.kill(daemon.pid, 'SIGKILL')
    await ports.getByRole('row', { name: `Open port ${await portOf(second)}` }).waitFor()
    first.close()
    await row.waitFor({ state: 'detached' })
  } finally {
    first.close()
    second.close()
  }
  await page.getByText(/^(busy|idle)$/).waitFor()
})
