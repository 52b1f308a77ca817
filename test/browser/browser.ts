import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import type { TestContext } from 'vitest'
import { makeTmpDir } from '../_util/tmp-dir.ts'

/** Debian's. */
export const CHROMIUM = '/usr/bin/chromium'

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
]

/** Skips the test, with the reason, where there is no browser. */
export function needsChromium(context: TestContext): void {
  if (!existsSync(CHROMIUM))
    context.skip(`${CHROMIUM} is missing: scripts/image/packages installs it where apt-get may`)
}

/**
 * Opens a page in a browser of its own, with every host name below `.example` at 127.0.0.1, and resolves with what the
 * page reports (`Site.report`). Ends the browser.
 */
export async function browse(url: string, report: Promise<unknown>): Promise<unknown> {
  await using profile = await makeTmpDir()
  const rules = '--host-resolver-rules=MAP *.example 127.0.0.1'
  const browser = spawn(CHROMIUM, [...FLAGS, `--user-data-dir=${profile.path}`, rules, url], { stdio: 'ignore' })
  const ended = once(browser, 'close')
  try {
    const early = ended.then(([code]) => Promise.reject(new Error(`the browser ended with ${code}`)))
    return await Promise.race([report, early])
  } finally {
    browser.kill('SIGKILL')
    await ended
  }
}

/** A web server of another origin. Disposing closes it. */
export interface Site extends AsyncDisposable {
  readonly port: number
  /** What the page's `report(value)` sent. */
  readonly report: Promise<unknown>
}

/** Serves one page at every path, whose script may call `report`. */
export async function startSite(script: () => string): Promise<Site> {
  const reported = Promise.withResolvers<unknown>()
  const server = createServer((request, response) => {
    if (request.url === '/report') {
      void textOf(request).then((text) => reported.resolve(JSON.parse(text)))
      return response.end()
    }
    response.setHeader('content-type', 'text/html')
    return response.end(page(script()))
  })
  const port = await listening(server)
  return { port, report: reported.promise, [Symbol.asyncDispose]: () => closed(server) }
}

/**
 * Serves the page to the first request for `/`, on a port where everything after it reaches `target`: for the browser
 * the same origin, as when a name that led to the site leads to this machine a moment later.
 */
export async function startRebound(script: string, target: number): Promise<Site> {
  const reported = Promise.withResolvers<unknown>()
  const server = createServer((request, response) => {
    if (request.url === '/') {
      response.setHeader('content-type', 'text/html')
      return response.end(page(script))
    }
    if (request.url === '/report') {
      void textOf(request).then((text) => reported.resolve(JSON.parse(text)))
      return response.end()
    }
    return relay(request, target)
  })
  const port = await listening(server)
  return { port, report: reported.promise, [Symbol.asyncDispose]: () => closed(server) }
}

/** Writes the request again as it came, to a connection of its own, and pipes what comes back. */
function relay(request: IncomingMessage, target: number): void {
  const upstream = connect(target, '127.0.0.1')
  const lines = [`${request.method} ${request.url} HTTP/1.1`]
  for (let i = 0; i < request.rawHeaders.length; i += 2)
    if (request.rawHeaders[i]?.toLowerCase() !== 'connection')
      lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`)
  upstream.write(`${lines.join('\r\n')}\r\nConnection: close\r\n\r\n`)
  request.on('data', (chunk) => upstream.write(chunk))
  upstream.on('error', () => request.socket.destroy()).pipe(request.socket)
}

function page(script: string): string {
  return `<!doctype html><script type="module">
const report = (value) => fetch('/report', { method: 'POST', body: JSON.stringify(value) })
${script}
</script>`
}

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // A TCP server's address is an object.
  return (server.address() as AddressInfo).port
}

async function closed(server: Server): Promise<void> {
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
}

async function textOf(request: IncomingMessage): Promise<string> {
  return Buffer.concat(await request.toArray()).toString()
}
