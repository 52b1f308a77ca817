import { beforeEach, expect, test } from 'vitest'
import { needsChromium } from '../browser.ts'
import { faultsOf } from './axe.ts'
import { openConsole } from './open-console.ts'

beforeEach(needsChromium)

const WIDE = { width: 1280, height: 800 }
const PHONE = { width: 390, height: 780 }

test.each([
  { colorScheme: 'light', viewport: WIDE },
  { colorScheme: 'dark', viewport: WIDE },
  { colorScheme: 'light', viewport: PHONE },
  { colorScheme: 'dark', viewport: PHONE },
] as const)('axe finds no serious fault of terminals ($colorScheme, $viewport.width)', async (look) => {
  await using opened = await openConsole(look)
  const { page } = opened
  const check = async (what: string) => expect(await faultsOf(page), what).toEqual([])
  await page.getByRole('button', { name: 'New terminal' }).click()
  await page.getByLabel('Name').waitFor()
  await check('the question for a name')
  await page.getByRole('button', { name: 'Open' }).click()
  await page.locator('.pane:not([hidden]) textarea:focus').waitFor({ state: 'attached' })
  await page.keyboard.type('ls --color=always /\n')
  await check('a terminal')
  await page.getByRole('button', { name: 'Actions for terminal-1' }).click()
  await page.getByRole('menuitem').first().waitFor()
  await check('its actions')
  await page.keyboard.press('Escape')
  await page.locator('.pane .xterm').click()
  await page.keyboard.press('Control+Shift+F')
  await page.getByLabel('Find in the terminal').waitFor()
  await check('the search')
  await page.keyboard.press('Escape')
  await page.keyboard.type('exit 3\n')
  await page.getByText('Ended: exit status 3').waitFor()
  await check('one that has ended')
})

test('all views are reached, and a terminal is opened, used and left, by the keyboard alone', async () => {
  await using opened = await openConsole()
  const { page } = opened
  const tabTo = async (name: string | RegExp, role: 'link' | 'button' = 'link') => {
    const wanted = page.getByRole(role, { name, exact: typeof name === 'string' }).first()
    await wanted.waitFor()
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press('Tab')
      if (await wanted.evaluate((element) => element === element.ownerDocument.activeElement)) return
    }
    throw new Error(`Tab does not lead to ${name}`)
  }
  for (const view of ['Files', 'Processes', 'Metrics', 'Service', 'Log', 'Terminals']) {
    await tabTo(view)
    await page.keyboard.press('Enter')
    await page.getByRole('main', { name: view }).waitFor()
  }
  await tabTo('New terminal', 'button')
  await page.keyboard.press('Enter')
  await page.getByLabel('Name').fill('keys')
  await page.keyboard.press('Enter')
  await page.locator('.pane:not([hidden]) textarea:focus').waitFor({ state: 'attached' })
  await expect.poll(() => page.locator('.pane:not([hidden]) .xterm-rows').innerText()).toMatch(/[$#]/)
  await page.keyboard.type('echo by$((1))keys\n')
  await page.locator('.pane:not([hidden]) .xterm-rows').getByText('by1keys').waitFor()
  await page.keyboard.press('Control+Alt+ArrowUp')
  await expect.poll(() => page.evaluate('document.activeElement.getAttribute("role")')).toBe('tab')
})
