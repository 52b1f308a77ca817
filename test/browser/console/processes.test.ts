import { Code, createClient } from '@connectrpc/connect'
import { createConnectTransport } from '@connectrpc/connect-node'
import { beforeEach, expect, test } from 'vitest'
import { Cause, Jobs, State } from '../../../src/gen/jobs/v1/jobs_pb.js'
import { Process } from '../../../src/gen/process/process_pb.js'
import { needsChromium } from '../browser.ts'
import { type ConsolePage, openConsole, TOKEN } from './open-console.ts'

beforeEach(needsChromium)

/** What a page says in its console while its daemon is away. */
const LOST = /ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY|ERR_ABORTED/

function clientsOf({ daemon }: ConsolePage, token?: string) {
  const headers = token === undefined ? {} : { 'X-Access-Token': token }
  const transport = createConnectTransport({
    baseUrl: daemon.url,
    httpVersion: '1.1',
    interceptors: [
      (next) => (request) => {
        for (const [name, value] of Object.entries(headers)) request.header.set(name, value)
        return next(request)
      },
    ],
  })
  return { jobs: createClient(Jobs, transport), process: createClient(Process, transport) }
}

/** Starts a command of a shell, and leaves its stream. */
async function start(opened: ConsolePage, script: string, token?: string): Promise<number> {
  const leave = new AbortController()
  const { process } = clientsOf(opened, token)
  const request = { process: { cmd: '/bin/sh', args: ['-c', script] }, stdin: true }
  for await (const { event } of process.start(request, { signal: leave.signal }))
    if (event?.event.case === 'start') {
      const { pid } = event.event.value
      leave.abort()
      return pid
    }
  throw new Error('not started')
}

const jobOf = (pid: number) => ({ selector: { case: 'pid' as const, value: pid } })

test('a process tree is ended from its page, which shows the cause', async () => {
  await using opened = await openConsole()
  const { page } = opened
  await page.getByRole('link', { name: 'Processes' }).click()
  const pid = await start(opened, 'echo begun; sleep 1000 & sleep 1000')
  await page
    .getByRole('row', { name: new RegExp(`${pid}.*running`) })
    .getByRole('link')
    .click()
  const job = page.getByRole('region', { name: `Process ${pid}` })
  await job.getByRole('region', { name: 'Output' }).getByText('begun').waitFor()
  await job.getByRole('button', { name: `Send a signal to process ${pid}` }).press('Enter')
  await page.getByRole('menuitem', { name: 'Kill (SIGKILL)' }).press('Enter')
  await page.getByRole('dialog').getByRole('button', { name: 'Kill (SIGKILL)' }).press('Enter')
  await job.getByText('signal: killed', { exact: true }).waitFor()
  const { job: ended } = await clientsOf(opened).jobs.get({ job: jobOf(pid) })
  expect(ended).toMatchObject({ state: State.ENDED, cause: Cause.SIGNAL })
  await expect(clientsOf(opened).jobs.kill({ job: jobOf(pid) })).resolves.toMatchObject({ left: [] })
})

test('a command is started, is written to and ends at the end of its input', async () => {
  await using opened = await openConsole({ token: true })
  const { page } = opened
  await page.getByRole('link', { name: 'Processes' }).click()
  await page.getByRole('button', { name: 'Start a command' }).click()
  await page.getByLabel('Command, for the shell').fill('cat; printf "\\033[31mred\\033[0m\\n" >&2; exit 3')
  await page.getByRole('dialog').getByRole('button', { name: 'Start' }).click()
  await page.getByLabel('Input', { exact: true }).fill('typed in the page')
  await page.getByRole('button', { name: 'Send', exact: true }).click()
  const output = page.getByRole('region', { name: 'Output' })
  await output.getByText('typed in the page').waitFor()
  await page.getByRole('button', { name: 'Close input' }).click()
  await page
    .getByRole('region', { name: /Process/ })
    .getByText('exit status 3', { exact: true })
    .waitFor()
  await output.locator('.stderr .fg-1', { hasText: 'red' }).waitFor()
})

test('10 MB of output are followed to the last line with a small document, and searched', async () => {
  await using opened = await openConsole()
  const { page } = opened
  const script =
    'seq -f "%.0f this is a line of output that is about fifty letters" 170000; echo TypeError: no; echo end'
  const pid = await start(opened, script)
  await page.goto(`/console/#/processes/${pid}`)
  const output = page.getByRole('region', { name: 'Output' })
  await output.getByText('end', { exact: true }).waitFor()
  const { job } = await clientsOf(opened).jobs.get({ job: jobOf(pid) })
  expect(Number(job?.outputBytes)).toBeGreaterThan(10_000_000)
  expect(await page.locator('*').count()).toBeLessThan(1_000)
  await page.getByLabel('Search in the output').fill('169990 this')
  await page.getByLabel('Search in the output').press('Enter')
  await output.locator('.target', { hasText: '169990 this' }).waitFor()
  await page.getByRole('button', { name: 'Next error' }).click()
  await output.locator('.target', { hasText: 'TypeError: no' }).waitFor()
})

test('the newest line that is followed stays in sight when the page gets smaller', async () => {
  await using opened = await openConsole()
  const { page } = opened
  const pid = await start(opened, 'seq 200; echo end')
  await page.goto(`/console/#/processes/${pid}`)
  const output = page.getByRole('region', { name: 'Output' })
  const last = output.getByText('end', { exact: true })
  await last.waitFor()
  for (const height of [500, 900, 450]) {
    await page.setViewportSize({ width: 1200, height })
    const bottomOf = async (shown: typeof last) => {
      const { y = 0, height: size = 0 } = (await shown.boundingBox()) ?? {}
      return y + size
    }
    await expect.poll(async () => (await bottomOf(output)) - (await bottomOf(last))).toBeGreaterThan(-1)
  }
})

test('output goes on to the byte, and the table with it, when the daemon is killed and returns', async () => {
  await using opened = await openConsole({ token: true, restarts: true, tolerates: [LOST] })
  const { page, daemon } = opened
  const pid = await start(opened, 'while read line; do echo "got $line"; done; echo over', TOKEN)
  const { jobs } = clientsOf(opened, TOKEN)
  const write = async (text: string) => jobs.write({ job: jobOf(pid), data: new TextEncoder().encode(text) })
  await write('one\n')
  await page.getByRole('link', { name: 'Processes' }).click()
  await page
    .getByRole('row', { name: String(pid) })
    .getByRole('link')
    .click()
  const output = page.getByRole('region', { name: 'Output' })
  await output.getByText('got one').waitFor()
  process.kill(daemon.pid, 'SIGKILL')
  await expect
    .poll(() => write('two\n').catch(({ code }: { code: Code }) => Code[code]))
    .toMatchObject({ written: expect.anything() })
  await output.getByText('got two').waitFor()
  await jobs.write({ job: jobOf(pid), eof: true })
  await output.getByText('over').waitFor()
  expect((await output.locator('.line').allTextContents()).filter((line) => line !== '')).toEqual([
    'got one',
    'got two',
    'over',
  ])
  await page.getByRole('row', { name: new RegExp(`${pid}.*exit status`) }).waitFor()
})
