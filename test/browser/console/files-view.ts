import type { Locator, Page } from 'playwright-core'
import { makeTmpDir } from '../../_util/tmp-dir.ts'
import { type ConsolePage, openConsole, TOKEN } from './open-console.ts'

/** The files view of a directory of its own. */
export interface FilesPage extends ConsolePage {
  /** The directory; what is in it goes at the end. */
  readonly dir: string
  readonly grid: Locator
  /** The row of a path below the directory. */
  row(path: string): Locator
  /** Drops files and directories of this machine on the page, as a hand does. */
  drop(paths: readonly string[]): Promise<void>
}

/** Opens it, with what `prepare` puts there. Disposing ends all of it. */
export async function openFiles(
  prepare: (dir: string) => Promise<void>,
  options: Parameters<typeof openConsole>[0] = {},
): Promise<FilesPage> {
  await using stack = new AsyncDisposableStack()
  const { path: dir } = stack.use(await makeTmpDir())
  await prepare(dir)
  const at = options.token === true ? `#token=${TOKEN}` : `#/files${dir}`
  const opened = stack.use(await openConsole({ at, ...options }))
  const { page } = opened
  if (options.token === true) {
    await page.getByRole('navigation', { name: 'Views' }).waitFor()
    await page.evaluate(`location.hash = ${JSON.stringify(`#/files${dir}`)}`)
  }
  const grid = page.getByRole('treegrid')
  await grid.waitFor()
  const whole = stack.move()
  return {
    ...opened,
    ...{ dir, grid },
    row: (path) => page.locator(`[data-path=${JSON.stringify(`${dir}/${path}`)}]`),
    drop: (paths) => drop(page, grid, paths),
    [Symbol.asyncDispose]: () => whole.disposeAsync(),
  }
}

async function drop(page: Page, target: Locator, files: readonly string[]): Promise<void> {
  const box = await target.boundingBox()
  if (box === null) throw new Error('there is nothing to drop files on')
  const session = await page.context().newCDPSession(page)
  const data = { items: [], files: [...files], dragOperationsMask: 1 }
  const at = { x: box.x + box.width / 2, y: box.y + box.height - 5 }
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const)
    await session.send('Input.dispatchDragEvent', { type, ...at, data })
  await session.detach()
}
