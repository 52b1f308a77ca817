import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { Page } from 'playwright-core'

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** Faults of a page that axe calls serious or critical, as text. */
export async function faultsOf(page: Page): Promise<unknown> {
  // As an expression of the debugger, which the policy of the page does not hold for.
  return page.evaluate(`(async () => {
    ${AXE}
    const { violations } = await axe.run()
    const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
    return grave.flatMap(({ id, nodes }) => nodes.map(({ html }) => id + ' ' + html))
  })()`)
}
