import { chmod, readFile, writeFile } from 'node:fs/promises'
import { beforeEach, expect, test } from 'vitest'
import { needsChromium } from '../browser.ts'
import { type FilesPage, openFiles } from './files-view.ts'

beforeEach(needsChromium)

const CONFLICT = { tolerates: [/status of 412/] }

/** Opens a file and types at its beginning. */
async function type({ page, row }: FilesPage, name: string, text: string): Promise<void> {
  await row(name).locator('[data-part=name]').click()
  const editor = page.getByRole('textbox', { name: `Text of ${name}` })
  await editor.focus()
  await page.keyboard.press('Control+Home')
  await page.keyboard.type(text)
}

/** What the file has, once others have written it behind the page's back and the page has tried to save. */
async function conflicted(files: FilesPage): Promise<void> {
  await type(files, 'notes.txt', 'mine ')
  await writeFile(`${files.dir}/notes.txt`, 'theirs\n')
  await files.page.getByText('This file has changed on the disk').waitFor()
  await files.page.keyboard.press('Control+s')
  await files.page.getByRole('dialog', { name: 'notes.txt has changed on the disk' }).waitFor()
}

const withNotes = (dir: string) => writeFile(`${dir}/notes.txt`, 'text\r\nend\r\n')

test('a text is edited and saved, and nothing else of it changes', async () => {
  await using files = await openFiles(async (dir) => {
    await withNotes(dir)
    await chmod(`${dir}/notes.txt`, 0o640)
  })
  await type(files, 'notes.txt', 'new ')
  await files.page.getByText('Not saved').waitFor()
  await files.page.keyboard.press('Control+s')
  await files.page.getByText('notes.txt is saved').waitFor()
  expect(await readFile(`${files.dir}/notes.txt`, 'utf8')).toBe('new text\r\nend\r\n')
  await files.page.keyboard.type('again ')
  await files.page.getByRole('button', { name: 'Save' }).click()
  await expect.poll(() => readFile(`${files.dir}/notes.txt`, 'utf8')).toBe('new again text\r\nend\r\n')
})

test('a change by others is shown at once where nothing was typed', async () => {
  await using files = await openFiles(withNotes)
  const { page, row, dir } = files
  await row('notes.txt').locator('[data-part=name]').click()
  await page.getByRole('textbox').getByText('end').waitFor()
  await writeFile(`${dir}/notes.txt`, 'from elsewhere\n')
  await page.getByRole('textbox').getByText('from elsewhere').waitFor()
})

test('of two versions both are shown, and mine is kept as a copy', async () => {
  await using files = await openFiles(withNotes, CONFLICT)
  await conflicted(files)
  const { page, dir } = files
  const diff = page.getByRole('region', { name: /Differences/ })
  await diff.getByRole('textbox', { name: 'On the disk' }).getByText('theirs').waitFor()
  await diff.getByRole('textbox', { name: 'Yours' }).getByText('mine text').waitFor()
  await page.getByRole('button', { name: 'Keep mine as a copy' }).click()
  await page.getByRole('heading', { name: 'notes (my copy).txt' }).waitFor()
  expect(await readFile(`${dir}/notes.txt`, 'utf8')).toBe('theirs\n')
  expect(await readFile(`${dir}/notes (my copy).txt`, 'utf8')).toBe('mine text\r\nend\r\n')
})

test('a conflict is ended by overwriting, unless the file has changed once more', async () => {
  await using files = await openFiles(withNotes, CONFLICT)
  await conflicted(files)
  const { page, dir } = files
  await writeFile(`${dir}/notes.txt`, 'later\n')
  const overwrite = page.getByRole('button', { name: 'Overwrite with mine' })
  await overwrite.click()
  await page.getByRole('dialog').getByRole('textbox', { name: 'On the disk' }).getByText('later').waitFor()
  expect(await readFile(`${dir}/notes.txt`, 'utf8')).toBe('later\n')
  await overwrite.click()
  await page.getByText('notes.txt is saved').waitFor()
  expect(await readFile(`${dir}/notes.txt`, 'utf8')).toBe('mine text\r\nend\r\n')
})

test('a conflict is ended by reading the file again', async () => {
  await using files = await openFiles(withNotes, CONFLICT)
  await conflicted(files)
  await files.page.getByRole('button', { name: 'Reload, discard mine' }).click()
  await files.page.getByRole('textbox').getByText('theirs').waitFor()
  expect(await files.page.getByText('Not saved').count()).toBe(0)
})

test('changes are not lost by opening another file unless that is confirmed', async () => {
  await using files = await openFiles(async (dir) => {
    await withNotes(dir)
    await writeFile(`${dir}/other.txt`, 'other')
  })
  await type(files, 'notes.txt', 'mine ')
  const { page, row } = files
  await row('other.txt').locator('[data-part=name]').click()
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
  await page.getByRole('textbox', { name: 'Text of notes.txt' }).getByText('mine text').waitFor()
  await row('other.txt').locator('[data-part=name]').click()
  await page.getByRole('dialog').getByRole('button', { name: 'Discard' }).click()
  await page.getByRole('textbox', { name: 'Text of other.txt' }).waitFor()
})

test('changes are not lost by another view, another user or the end of the page unless that is confirmed', async () => {
  await using files = await openFiles(withNotes)
  const { page, dir } = files
  await type(files, 'notes.txt', 'mine ')
  const dialog = page.getByRole('dialog')
  const text = page.getByRole('textbox', { name: 'Text of notes.txt' }).getByText('mine text')
  await page.getByRole('link', { name: 'Log' }).click()
  await dialog.getByText('They are not saved').waitFor()
  await dialog.getByRole('button', { name: 'Cancel' }).click()
  await text.waitFor()
  expect(new URL(page.url()).hash).toBe(`#/files${dir}`)
  const user = page.getByRole('combobox', { name: 'Acting user' })
  await user.selectOption('root')
  await dialog.getByRole('button', { name: 'Cancel' }).click()
  await text.waitFor()
  expect(await user.inputValue()).toBe('')
  const asked = page.waitForEvent('dialog')
  await page.close({ runBeforeUnload: true })
  const question = await asked
  expect(question.type()).toBe('beforeunload')
  await question.dismiss()
  await page.getByRole('link', { name: 'Log' }).click()
  await dialog.getByRole('button', { name: 'Discard' }).click()
  await page.getByRole('heading', { name: 'Log' }).or(page.getByLabel('Level')).first().waitFor()
  expect(await readFile(`${dir}/notes.txt`, 'utf8')).toBe('text\r\nend\r\n')
})

test('an image is shown, also an SVG whose script does not run', async () => {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30" onload="window.ran = true">
<script>window.ran = true</script><rect width="40" height="30" fill="red"/></svg>`
  await using files = await openFiles((dir) => writeFile(`${dir}/picture.svg`, svg))
  const { page, row } = files
  await row('picture.svg').locator('[data-part=name]').click()
  await page.getByText('40 × 30').waitFor()
  expect(await page.evaluate('window.ran')).toBeUndefined()
  await page.getByRole('button', { name: 'Show the text' }).click()
  await page.getByRole('textbox').getByText('rect').first().waitFor()
})

test('what is no text, or cannot be read, says so', async () => {
  const prepare = async (dir: string) => {
    await writeFile(`${dir}/data.bin`, Buffer.from([0, 1, 2, 3]))
    await writeFile(`${dir}/closed.txt`, 'secret')
    await chmod(`${dir}/closed.txt`, 0o600)
    await chmod(dir, 0o755)
  }
  await using files = await openFiles(prepare, { args: ['-strict-file-users'], tolerates: [/status of 403/] })
  const { page, row, daemon } = files
  await fetch(`${daemon.url}/init`, { method: 'POST', body: JSON.stringify({ defaultUser: 'user' }) })
  await row('data.bin').locator('[data-part=name]').click()
  await page.getByText('Not a text: 4 B of bytes').waitFor()
  await row('closed.txt').locator('[data-part=name]').click()
  await page.getByRole('alert').getByText('Permission denied').waitFor()
  await page.getByRole('combobox', { name: 'Acting user' }).selectOption('root')
  await row('closed.txt').locator('[data-part=name]').click()
  await page.getByRole('textbox').getByText('secret').waitFor()
})

test('names and contents are searched, and a hit opens its line', async () => {
  await using files = await openFiles(async (dir) => {
    await writeFile(`${dir}/Alpha-notes.md`, `${'x\n'.repeat(300)}the needle is here\n`)
    await writeFile(`${dir}/beta.txt`, 'nothing')
  })
  const { page } = files
  await page.getByRole('button', { name: 'Search' }).click()
  const search = page.getByRole('region', { name: 'Search' })
  // It has the focus when it is there; a key before that is lost.
  await search.getByRole('searchbox').and(page.locator(':focus')).waitFor()
  await page.keyboard.type('NOTES')
  await page.keyboard.press('Enter')
  await search.getByText('1 file.').waitFor()
  await search.getByRole('combobox', { name: 'Search in' }).selectOption('contents')
  await search.getByRole('searchbox').fill('NEEDLE')
  await page.keyboard.press('Enter')
  await search.getByText('1 line in 1 file.').waitFor()
  await search.getByRole('button', { name: /Alpha-notes\.md/ }).click()
  await page.getByRole('textbox', { name: 'Text of Alpha-notes.md' }).getByText('the needle is here').waitFor()
  await search.getByRole('searchbox').fill('not there')
  await page.keyboard.press('Enter')
  await search.getByText('Nothing was found.').waitFor()
})
