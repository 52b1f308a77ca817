import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { type Daemon, startDaemon } from '../../_util/daemon.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'
import { CHROMIUM } from '../browser.ts'
import { startRelay } from './relay.ts'

/** The token of daemons that have one. */
export const TOKEN = 'token-of-the-console-tests'

interface ConsoleOptions {
  /** The daemon asks for `TOKEN`, and the page has it from its address. Default: no token is set. */
  readonly token?: boolean
  /** More flags of the daemon. */
  readonly args?: readonly string[]
  /** The test ends the daemon itself, and the keeper starts it again. */
  readonly restarts?: boolean
  /** What follows `/console/`; default: the token, if there is one. */
  readonly at?: string
  readonly viewport?: { readonly width: number; readonly height: number }
  readonly colorScheme?: 'light' | 'dark'
  /** The page reaches the daemon through a relay, whose connections can be cut (`cut`). */
  readonly relayed?: boolean
  /** The browser draws by WebGL; in the others the text of a terminal stands in elements. */
  readonly webgl?: boolean
  /** Faults that the test brings about, such as requests that fail while there is no daemon. */
  readonly tolerates?: readonly RegExp[]
}

/**
 * A daemon, a browser and its page. Disposing ends all of it, and fails if the page has violated its policy, logged an
 * error or thrown one.
 */
export interface ConsolePage extends AsyncDisposable {
  readonly daemon: Daemon
  readonly context: BrowserContext
  readonly page: Page
  /** Ends all connections of the page (`relayed`). */
  cut(): void
  /** The daemon is gone for the page (`relayed`), until what is returned is called. */
  vanish(): () => void
  /** What was found so far, without what is tolerated. */
  faults(): readonly string[]
}

/** Opens the console of a daemon of its own in a browser of its own, as a user who was sent its address. */
export async function openConsole(options: ConsoleOptions = {}): Promise<ConsolePage> {
  await using stack = new AsyncDisposableStack()
  const daemon = stack.use(await startWithToken(options, stack))
  const relay = options.relayed === true ? await startRelay(daemon.port) : undefined
  if (relay !== undefined) stack.use(relay)
  const browser = await launchBrowser(options.webgl)
  stack.defer(() => browser.close())
  const context = await browser.newContext({
    baseURL: relay === undefined ? daemon.url : `http://127.0.0.1:${relay.port}`,
    viewport: options.viewport ?? { width: 1200, height: 800 },
    colorScheme: options.colorScheme ?? 'light',
    permissions: ['clipboard-read', 'clipboard-write'],
  })
  context.setDefaultTimeout(15_000)
  const page = await context.newPage()
  const found = collectFaults(page)
  const faults = () => found.filter((text) => !(options.tolerates ?? []).some((known) => known.test(text)))
  await page.goto(`/console/${options.at ?? (options.token === true ? `#token=${TOKEN}` : '')}`)
  const whole = stack.move()
  const dispose = async () => {
    const left = faults()
    await whole.disposeAsync()
    if (left.length > 0) throw new Error(`faults of the page:\n${left.join('\n')}`)
  }
  const cut = () => relay?.cut()
  const vanish = () => {
    relay?.close()
    return () => relay?.restore()
  }
  return { daemon, context, page, cut, vanish, faults, [Symbol.asyncDispose]: dispose }
}

/** A browser without a window. The caller closes it. */
function launchBrowser(webgl = false): Promise<Browser> {
  const drawing = webgl ? ['--use-angle=swiftshader', '--enable-unsafe-swiftshader'] : ['--disable-3d-apis']
  return chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-background-networking', ...drawing],
  })
}

async function startWithToken(
  { token, args = [], restarts = false }: ConsoleOptions,
  stack: AsyncDisposableStack,
): Promise<Daemon> {
  if (token !== true) return startDaemon({ args, restarts })
  const dir = stack.use(await makeTmpDir())
  const file = join(dir.path, 'token')
  await writeFile(file, TOKEN, { mode: 0o600 })
  return startDaemon({ args: ['-access-token-file', file, ...args], restarts })
}

/** Errors in the browser's console contain violations of the policy and requests that failed. */
function collectFaults(page: Page): readonly string[] {
  const faults: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(`${message.text()} (${message.location().url})`)
  })
  page.on('pageerror', (error) => faults.push(`thrown: ${error.stack ?? error.message}`))
  return faults
}
