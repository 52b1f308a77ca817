import { beforeEach, expect, test } from 'vitest'
import { needsChromium } from '../browser.ts'
import { openConsole, TOKEN } from './open-console.ts'

beforeEach(needsChromium)

test('the page opens without a token where none is set, and shows each view', async () => {
  await using opened = await openConsole()
  const { page } = opened
  for (const title of ['Files', 'Processes', 'Metrics', 'Service', 'Log', 'Terminals']) {
    await page.getByRole('link', { name: title }).click()
    await page.getByRole('main', { name: title }).waitFor()
  }
  expect(opened.faults()).toEqual([])
})

test('a view that waits for an answer does not come back after it was left', async () => {
  await using opened = await openConsole()
  const { page } = opened
  await page.getByRole('main', { name: 'Terminals' }).waitFor()
  await page.evaluate(holdAnswersOfStat)
  await page.getByRole('link', { name: 'Files' }).click()
  await expect.poll(() => page.evaluate('window.release !== undefined')).toBe(true)
  await page.evaluate("location.hash = '#/processes'; release()")
  await page.getByRole('main', { name: 'Processes' }).waitFor()
  expect(page.url()).toBe(`${opened.daemon.url}/console/#/processes`)
})

test('an address that changes as soon as the page is drawn is shown', async () => {
  await using opened = await openConsole({ at: '#/files' })
  const { context } = opened
  await using page = await context.newPage()
  await page.addInitScript(goOnOnceDrawn)
  await page.goto('/console/#/files')
  await page.getByRole('main', { name: 'Processes' }).waitFor()
})

/** In the page: another view is asked for before the effects of the first one's frame have run. */
const goOnOnceDrawn = `{
  const drawn = new MutationObserver(() => {
    if (document.querySelector('.frame') === null) return
    drawn.disconnect()
    location.hash = '#/processes'
  })
  drawn.observe(document, { childList: true, subtree: true })
}`

/** In the page: answers of `Stat` that have come are handed on when `release` is called. */
const holdAnswersOfStat = `{
  const send = fetch
  fetch = async (input, init) => {
    const answer = await send(input, init)
    if (!String(input).endsWith('/Stat')) return answer
    const content = await answer.arrayBuffer()
    await new Promise((resolve) => { window.release = resolve })
    return new Response(content, { status: answer.status, headers: answer.headers })
  }
}`

test('the token in the fragment signs in and disappears from the address', async () => {
  await using opened = await openConsole({ token: true })
  await opened.page.getByRole('navigation', { name: 'Views' }).waitFor()
  expect(opened.page.url()).toBe(`${opened.daemon.url}/console/`)
  const stored = 'JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, history.state])'
  expect(await opened.page.evaluate(stored)).not.toContain(TOKEN)
})

test('without the token, or with a wrong one, the page asks for it', async () => {
  const refused = /status of 401/
  await using opened = await openConsole({ token: true, at: '#token=wrong', tolerates: [refused] })
  const { page } = opened
  await page.getByLabel('Access token').fill('wrong again')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByLabel('Access token').fill(TOKEN)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('navigation', { name: 'Views' }).waitFor()
})

test('the colours are those of the system until they are switched', async () => {
  await using opened = await openConsole({ colorScheme: 'dark' })
  const { page } = opened
  await page.locator('html[data-theme=dark]').waitFor()
  await page.getByRole('button', { name: 'Use light colours' }).click()
  await page.locator('html[data-theme=light]').waitFor()
})

test('a daemon that vanishes and returns is announced', async () => {
  await using opened = await openConsole({ restarts: true, tolerates: [/ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY/] })
  const { page, daemon } = opened
  await page.getByRole('navigation', { name: 'Views' }).waitFor()
  process.kill(daemon.pid, 'SIGSTOP')
  const stopped = daemon.pid
  try {
    await page.getByText('The connection to the sandbox is lost').waitFor()
  } finally {
    process.kill(stopped, 'SIGCONT')
  }
  await page.getByText('The connection is back').waitFor()
})
