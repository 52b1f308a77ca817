import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { beforeEach, expect, test } from 'vitest'
import { needsChromium } from '../browser.ts'
import { openConsole, TOKEN } from './open-console.ts'

beforeEach(needsChromium)

/** A page that fetches from its own app by a relative path. */
const PAGE = `<!doctype html><title>app</title><h1>the app</h1><a href="next?x=1">next</a>
<script>fetch('data').then((answer) => answer.text()).then((text) => { document.querySelector('h1').textContent = text })</script>`

test.each([[false], [true]])('the link of a port opens what listens there (token set: %s)', async (token) => {
  const cookies: (string | undefined)[] = []
  const app = createServer((request, response) => {
    cookies.push(request.headers.cookie)
    if (request.headers['x-access-token'] !== undefined) cookies.push('the token')
    if (request.url === '/') response.setHeader('content-type', 'text/html').end(PAGE)
    else response.end(`from ${request.url}`)
  })
  app.listen(0, '127.0.0.1')
  await once(app, 'listening')
  // A TCP server's address is an object.
  const { port } = app.address() as AddressInfo
  try {
    await using opened = await openConsole({ token })
    const { page, context } = opened
    await page.getByRole('link', { name: 'Service' }).click()
    const opening = context.waitForEvent('page')
    await page
      .getByRole('row', { name: `Open port ${port}` })
      .getByRole('link')
      .click()
    const there = await opening
    await there.getByRole('heading', { name: 'from /data' }).waitFor()
    expect(new URL(there.url()).pathname).toBe(`/ports/${port}/`)
    await there.getByRole('link', { name: 'next' }).click()
    await there.getByText('from /next?x=1').waitFor()
    expect(there.url()).not.toContain(TOKEN)
    expect(cookies.filter((cookie) => cookie !== undefined)).toEqual([])
    expect(await there.evaluate('[document.cookie, window.opener]')).toEqual(['', null])
  } finally {
    app.close()
    app.closeAllConnections()
  }
})
