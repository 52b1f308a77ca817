import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { beforeEach, expect, test } from 'vitest'
import { makeTmpDir } from '../../_util/tmp-dir.ts'
import { needsChromium } from '../browser.ts'
import { openConsole } from './open-console.ts'

beforeEach(needsChromium)

const CUT = /ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY/

async function openTerminal(page: Page, name: string): Promise<void> {
  await page.getByRole('button', { name: 'New terminal' }).click()
  await page.getByLabel('Name').fill(name)
  await page.getByRole('button', { name: 'Open' }).click()
  await page.getByRole('tab', { name, selected: true }).waitFor()
  await expect.poll(() => screen(page)).toMatch(/[$#] ?$/m)
}

/** The text that is shown, line by line. */
async function screen(page: Page): Promise<string> {
  const rows = await page.locator('.pane:not([hidden]) .xterm-rows > div').allInnerTexts()
  return rows.map((row) => row.replaceAll('\u00a0', ' ').trimEnd()).join('\n')
}

test('what is typed in vim is there again, with its screen, after the connections were cut and after a crash', async () => {
  await using dir = await makeTmpDir()
  const file = join(dir.path, 'poem.txt')
  await writeFile(file, Array.from({ length: 200 }, (_, index) => `line ${index + 1}`).join('\n'))
  await using opened = await openConsole({ token: true, relayed: true, restarts: true, tolerates: [CUT] })
  const { page, daemon } = opened
  await openTerminal(page, 'editor')
  await page.keyboard.type(`vi -u NONE ${file}\n`)
  await expect.poll(() => screen(page)).toContain('line 1\nline 2')
  await page.keyboard.type('100Gztowritten in the page\x1b')
  await page.keyboard.press('Escape')
  await expect.poll(() => screen(page)).toContain('line 100\nwritten in the page\nline 101')
  const before = await screen(page)

  opened.cut()
  await page.locator('.state[data-state=lost]').waitFor()
  await page.locator('.state[data-state=attached]').waitFor({ state: 'attached' })
  await expect.poll(() => screen(page)).toBe(before)

  process.kill(daemon.pid, 'SIGKILL')
  await page.locator('.state[data-state=lost]').waitFor()
  await page.locator('.state[data-state=attached]').waitFor({ state: 'attached' })
  await expect.poll(() => screen(page)).toBe(before)
  await page.keyboard.type(':wq\n')
  await expect.poll(() => readFile(file, 'utf8')).toContain('line 100\nwritten in the page\nline 101')
})

test('several terminals are open in tabs, and another page shows the same ones and takes one over', async () => {
  // What is typed where another one has taken over.
  const refused = /status of 400.*Terminals\/Write/
  await using opened = await openConsole({ tolerates: [refused] })
  const { page, context } = opened
  await openTerminal(page, 'first')
  await page.keyboard.type('echo one$((1 + 1))\n')
  await expect.poll(() => screen(page)).toContain('one2')
  await openTerminal(page, 'second')
  expect(await screen(page)).not.toContain('one2')
  await page.keyboard.press('Control+Alt+ArrowLeft')
  await page.getByRole('tab', { name: 'first', selected: true }).waitFor()
  await expect.poll(() => screen(page)).toContain('one2')

  const other = await context.newPage()
  await other.goto('/console/')
  await other.getByRole('tab', { name: 'second' }).waitFor()
  await expect.poll(() => screen(other)).toContain('one2')
  await other.getByRole('button', { name: 'Actions for first' }).click()
  await other.getByRole('menuitem', { name: 'Take over' }).click()
  await other.locator('.state[data-state=attached]').waitFor({ state: 'attached' })
  await expect
    .poll(async () => {
      await page.keyboard.type('x')
      return page.locator('.pane:not([hidden]) .state').getAttribute('data-state')
    })
    .toBe('watching')
  await page.getByRole('button', { name: 'Take over' }).click()
  await page.locator('.pane:not([hidden]) .state[data-state=attached]').waitFor({ state: 'attached' })
})

test('a terminal has the size of the window, and follows it', async () => {
  await using opened = await openConsole()
  const { page } = opened
  await openTerminal(page, 'sized')
  const size = async () => {
    await page.keyboard.type('clear; stty size\n')
    await expect.poll(() => screen(page)).toMatch(/^\d+ \d+$/m)
    return (/^(\d+) (\d+)$/m.exec(await screen(page)) ?? []).slice(1).map(Number)
  }
  const [rows = 0, columns = 0] = await size()
  expect(columns).toBeGreaterThan(100)
  await page.setViewportSize({ width: 700, height: 500 })
  await expect.poll(size, { interval: 300 }).not.toEqual([rows, columns])
})

test('a terminal is recorded, and its output is found by the search and copied', async () => {
  await using opened = await openConsole()
  const { page } = opened
  await openTerminal(page, 'recorded')
  await page.getByRole('button', { name: 'Actions for recorded' }).click()
  await page.getByRole('menuitem', { name: 'Record', exact: true }).click()
  await page.locator('.pane .xterm').click()
  await page.keyboard.type('echo need$((1))le\n')
  await expect.poll(() => screen(page)).toContain('need1le')
  await page.keyboard.press('Control+Shift+F')
  await page.getByLabel('Find in the terminal').fill('need1le')
  await page.keyboard.press('Enter')
  await page.keyboard.press('Escape')
  await page.keyboard.press('Control+Shift+C')
  await expect.poll(() => page.evaluate('navigator.clipboard.readText()')).toBe('need1le')
  const download = page.waitForEvent('download')
  await page.getByRole('button', { name: 'Actions for recorded' }).click()
  await page.getByRole('menuitem', { name: 'Save recording' }).click()
  const path = await (await download).path()
  const lines = (await readFile(path, 'utf8')).trim().split('\n')
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ version: 2 })
  expect(lines.slice(1).join('')).toContain('need1le')
})

test('a terminal that ends says how, and its tab can be closed', async () => {
  await using opened = await openConsole()
  const { page } = opened
  await openTerminal(page, 'short')
  await page.keyboard.type('exit 3\n')
  await page.getByText('Ended: exit status 3').waitFor()
  await page.getByRole('button', { name: 'Close tab' }).click()
  await page.getByText('No terminal is open').waitFor()
  await openTerminal(page, 'killed')
  await page.getByRole('button', { name: 'Close killed' }).click()
  await page.getByRole('button', { name: 'End it' }).click()
  await page.getByText('No terminal is open').waitFor()
})

test('the terminal is drawn by WebGL where the browser has it', async () => {
  await using opened = await openConsole({ webgl: true })
  const { page } = opened
  await page.getByRole('button', { name: 'New terminal' }).click()
  await page.getByRole('button', { name: 'Open' }).click()
  await page.locator('.pane canvas').first().waitFor()
})
