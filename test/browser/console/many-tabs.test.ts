import { writeFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { beforeEach, expect, test } from 'vitest'
import { makeTmpDir } from '../../_util/tmp-dir.ts'
import { needsChromium } from '../browser.ts'
import { openConsole } from './open-console.ts'

beforeEach(needsChromium)

const TERMINALS = 8

async function screen(page: Page): Promise<string> {
  const rows = await page.locator('.pane:not([hidden]) .xterm-rows > div').allInnerTexts()
  return rows.map((row) => row.replaceAll('\u00a0', ' ').trimEnd()).join('\n')
}

async function openTerminal(page: Page, name: string): Promise<void> {
  await page.getByRole('button', { name: 'New terminal' }).click()
  await page.getByLabel('Name').fill(name)
  await page.getByRole('button', { name: 'Open' }).click()
  await page.getByRole('tab', { name, selected: true }).waitFor()
  await expect.poll(() => screen(page)).toMatch(/[$#] ?$/m)
}

test('eight terminals in tabs and the files in another window work at once, and what was missed comes', async () => {
  await using dir = await makeTmpDir()
  await using opened = await openConsole()
  const { page, context } = opened
  for (let index = 0; index < TERMINALS; index++) {
    await openTerminal(page, `tab-${index}`)
    await page.keyboard.type(`sleep 1; echo out$((1))-${index}\n`)
  }
  const other = await context.newPage()
  await other.goto(`/console/#/files${dir.path}`)
  await other.getByRole('treegrid').waitFor()
  await writeFile(`${dir.path}/appears.txt`, 'text')
  await other.getByText('appears.txt').click()
  await other.getByRole('textbox', { name: 'Text of appears.txt' }).waitFor()
  for (let index = 0; index < TERMINALS; index++) {
    await page.getByRole('tab', { name: `tab-${index}` }).click()
    await page.locator('.pane:not([hidden]) textarea:focus').waitFor({ state: 'attached' })
    // At once: what is typed while it attaches again is not lost.
    await page.keyboard.type(`echo again$((1))-${index}\n`)
    await expect.poll(() => screen(page)).toContain(`out1-${index}`)
    await expect.poll(() => screen(page)).toContain(`again1-${index}`)
  }
})

test('a page that is out of sight closes its streams, and opens them when it is seen again', async () => {
  await using opened = await openConsole({ tolerates: [/ERR_ABORTED/] })
  const { page } = opened
  await openTerminal(page, 'unseen')
  const see = (state: 'hidden' | 'visible') =>
    page.evaluate(`Object.defineProperty(document, 'visibilityState', { value: '${state}', configurable: true })
      document.dispatchEvent(new Event('visibilitychange'))`)
  const closed = page.waitForEvent('requestfailed', {
    predicate: (request) => request.url().endsWith('/Attach'),
    timeout: 30_000,
  })
  await see('hidden')
  await closed
  const again = page.waitForRequest((request) => request.url().endsWith('/Attach'))
  await see('visible')
  await again
  await page.keyboard.type('echo seen$((1))\n')
  await expect.poll(() => screen(page)).toContain('seen1')
})
