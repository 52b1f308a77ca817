import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { beforeEach, expect, test } from 'vitest'
import { makeTmpDir } from '../../_util/tmp-dir.ts'
import { needsChromium } from '../browser.ts'
import { openConsole } from './open-console.ts'

beforeEach(needsChromium)

const PAGE = '<!doctype html><title>app</title><h1></h1><script type="module" src="/main.js"></script>'
const MAIN = `import { text } from './text.js'
const show = (text) => { document.querySelector('h1').textContent = text }
show(text)
import.meta.hot.accept('./text.js', (changed) => show(changed.text))`

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  // A TCP server's address is an object.
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** The development server of an app whose heading is what `text.js` exports. Disposing ends it. */
async function startVite() {
  const { path: root, ...dir } = await makeTmpDir()
  const say = (text: string) => writeFile(`${root}/text.js`, `export const text = '${text}'`)
  await writeFile(`${root}/index.html`, PAGE)
  await writeFile(`${root}/main.js`, MAIN)
  await say('first')
  const port = await freePort()
  const args = [root, '--base', `/absports/${port}/`, '--port', String(port), '--strictPort', '--host', '127.0.0.1']
  const vite = spawn(process.execPath, ['node_modules/vite/bin/vite.js', ...args], { stdio: 'ignore' })
  const ended = once(vite, 'exit')
  const dispose = async () => {
    vite.kill()
    await ended
    await dir[Symbol.asyncDispose]()
  }
  return { port, say, [Symbol.asyncDispose]: dispose }
}

test.each([[false], [true]])(
  'a page of vite is opened by its link, and changes with its files without a reload (token set: %s)',
  async (token) => {
    await using vite = await startVite()
    await using opened = await openConsole({ token })
    const { page, context } = opened
    const connected = context.waitForEvent('console', {
      predicate: (message) => message.text() === '[vite] connected.',
      timeout: 60_000,
    })
    await page.getByRole('link', { name: 'Service' }).click()
    const row = page.getByRole('row', { name: `Open port ${vite.port}` })
    await row.waitFor({ timeout: 30_000 })
    const opening = context.waitForEvent('page')
    await row.getByRole('link').click()
    const app = await opening
    const sockets: string[] = []
    app.on('websocket', (socket) => sockets.push(new URL(socket.url()).host))
    await app.getByRole('heading', { name: 'first' }).waitFor({ timeout: 30_000 })
    await connected
    await app.evaluate('window.loadedOnce = true')
    for (const text of ['second', 'third']) {
      // Vite may miss a change that comes right behind another one.
      const changed = async () => {
        await vite.say(text)
        return app.getByRole('heading', { name: text }).isVisible()
      }
      await expect.poll(changed, { interval: 300 }).toBe(true)
    }
    expect(await app.evaluate('window.loadedOnce')).toBe(true)
    expect(new URL(app.url()).host).toBe(new URL(page.url()).host)
    expect(sockets.filter((host) => host !== new URL(page.url()).host)).toEqual([])
  },
)
