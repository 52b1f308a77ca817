import { mkdir, writeFile } from 'node:fs/promises'
import { beforeEach, expect, test } from 'vitest'
import { needsChromium } from '../browser.ts'
import { faultsOf } from './axe.ts'
import { openFiles } from './files-view.ts'

beforeEach(needsChromium)

const WIDE = { width: 1280, height: 800 }
const PHONE = { width: 390, height: 780 }

test.each([
  { colorScheme: 'light', viewport: WIDE },
  { colorScheme: 'dark', viewport: WIDE },
  { colorScheme: 'light', viewport: PHONE },
  { colorScheme: 'dark', viewport: PHONE },
] as const)(
  'axe finds no serious fault of the files, their editor, search, conflicts and uploads ($colorScheme, $viewport.width)',
  async (look) => {
    const prepare = async (dir: string) => {
      await mkdir(`${dir}/sub`)
      await writeFile(`${dir}/main.py`, `import os\n# a comment\nprint("${'long '.repeat(60)}", 1)\n`)
    }
    await using files = await openFiles(prepare, { ...look, tolerates: [/status of 4(09|12)/] })
    const { page, row, dir } = files
    await row('main.py').waitFor()
    expect(await faultsOf(page)).toEqual([])
    await page.getByRole('button', { name: 'More actions' }).click()
    expect(await faultsOf(page)).toEqual([])
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Search' }).click()
    await page.getByRole('combobox', { name: 'Search in' }).selectOption('contents')
    await page.getByRole('searchbox').fill('import')
    await page.keyboard.press('Enter')
    await page.getByText('1 line in 1 file').waitFor()
    expect(await faultsOf(page)).toEqual([])
    await page.getByRole('button', { name: 'Close the search' }).click()
    await row('main.py').locator('[data-part=name]').click()
    await page.getByRole('textbox', { name: 'Text of main.py' }).focus()
    await page.keyboard.type('mine')
    expect(await faultsOf(page)).toEqual([])
    await writeFile(`${dir}/main.py`, 'theirs')
    await page.getByText('This file has changed on the disk').waitFor()
    await page.keyboard.press('Control+s')
    await page.getByRole('textbox', { name: 'On the disk' }).waitFor()
    expect(await faultsOf(page)).toEqual([])
    await page.getByRole('button', { name: 'Reload' }).click()
    await page.getByRole('button', { name: 'Close the file' }).click()
    const chooser = page.waitForEvent('filechooser')
    await page.getByRole('button', { name: 'Upload', exact: true }).click()
    await (await chooser).setFiles([`${dir}/main.py`])
    await page.getByRole('button', { name: 'Replace main.py' }).waitFor()
    expect(await faultsOf(page)).toEqual([])
  },
)
