import { beforeEach, expect, test } from 'vitest'
import { sendWhole } from '../../_util/http.ts'
import { needsChromium } from '../browser.ts'
import { openConsole, TOKEN } from './open-console.ts'

beforeEach(needsChromium)

/** What a page says in its console while its daemon is away. */
const LOST = /ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY|ERR_ABORTED/

test('the log is followed, is chosen from, and goes on when the daemon is killed and returns', async () => {
  await using opened = await openConsole({ token: true, restarts: true, tolerates: [LOST] })
  const { page, daemon } = opened
  const request = (path: string) => sendWhole(`${daemon.url}${path}`, { headers: { 'X-Access-Token': TOKEN } })
  await page.getByRole('link', { name: 'Log' }).click()
  const log = page.getByRole('region', { name: 'Log of the daemon' })
  await page.getByLabel('Lowest level').selectOption('debug')
  await request('/no/such/first')
  await log.getByText('path=/no/such/first').waitFor()
  await page.getByLabel('Filter lines').fill('no/such')
  await page.getByLabel('Logger', { exact: true }).selectOption('envd')
  await request('/no/such/second')
  await log.locator('.line', { hasText: 'second' }).waitFor()
  expect(await log.locator('.line').count()).toBe(2)
  process.kill(daemon.pid, 'SIGKILL')
  await log.getByText('The daemon was started anew.').waitFor()
  await expect.poll(() => request('/no/such/third').catch(() => undefined)).toBeDefined()
  await log.locator('.line', { hasText: 'third' }).waitFor()
  expect(await page.content()).not.toContain(TOKEN)
})
