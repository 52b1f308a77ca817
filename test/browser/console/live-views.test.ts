import { beforeEach, expect, test } from 'vitest'
import { needsChromium } from '../browser.ts'
import { faultsOf } from './axe.ts'
import { openConsole } from './open-console.ts'

beforeEach(needsChromium)

const FORMS = (['light', 'dark'] as const).flatMap((colorScheme) =>
  [1280, 390].map((width) => ({ colorScheme, viewport: { width, height: 800 } })),
)

test.each(FORMS)('axe finds no serious fault in processes, metrics, services and log: %o', async (options) => {
  const args = ['-start-cmd', 'printf "\\033[38;5;226mcolour\\033[0m\\n"; sleep 1000', '-ready-cmd', 'true']
  await using opened = await openConsole({ args, ...options })
  const { page } = opened
  const look = async (view: string, seen: string) => {
    await page.getByRole('link', { name: view, exact: true }).click()
    await page.locator(seen).first().waitFor()
    expect(await faultsOf(page), view).toEqual([])
  }
  await look('Processes', 'td .state')
  await page.getByRole('row', { name: 'start' }).getByRole('link').click()
  await page.getByRole('region', { name: 'Output' }).getByText('colour').waitFor()
  expect(await faultsOf(page), 'a process').toEqual([])
  await page.getByRole('button', { name: /^Send a signal/ }).click()
  expect(await faultsOf(page), 'the menu of signals').toEqual([])
  await page.getByRole('menuitem', { name: 'Kill (SIGKILL)' }).click()
  expect(await faultsOf(page), 'the question').toEqual([])
  await page.keyboard.press('Escape')
  await page.getByRole('link', { name: 'Metrics', exact: true }).click()
  await page.getByText('Values', { exact: true }).click()
  await look('Metrics', 'td data')
  await look('Service', '.service')
  await look('Log', '.line')
})

test('a process is found, looked at and killed by the keyboard alone', async () => {
  await using opened = await openConsole({ args: ['-start-cmd', 'echo begun; sleep 1000', '-ready-cmd', 'true'] })
  const { page } = opened
  const tabTo = async (name: string | RegExp) => {
    const wanted = page.getByRole('link', { name }).or(page.getByRole('button', { name })).first()
    await wanted.waitFor()
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press('Tab')
      if (await wanted.evaluate((element) => element === element.ownerDocument.activeElement)) return
    }
    throw new Error(`Tab does not lead to ${name}`)
  }
  await tabTo('Processes')
  await page.keyboard.press('Enter')
  await tabTo(/echo begun/)
  await page.keyboard.press('Enter')
  await tabTo(/^Send a signal/)
  await page.keyboard.press('Enter')
  await page.getByRole('menuitem').first().waitFor()
  await page.keyboard.press('End')
  await page.keyboard.press('ArrowUp')
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor()
  await tabTo('Kill (SIGKILL)')
  await page.keyboard.press('Enter')
  await page
    .getByRole('region', { name: /^Process/ })
    .getByText('signal: killed', { exact: true })
    .waitFor()
})
