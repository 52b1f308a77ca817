import { mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { beforeEach, expect, test } from 'vitest'
import { needsChromium } from '../browser.ts'
import { openFiles } from './files-view.ts'

beforeEach(needsChromium)

/** The accessible texts of the rows that are on the page, in their order. */
const names = (page: { locator(selector: string): { allInnerTexts(): Promise<string[]> } }) =>
  page.locator('.rows .row .name bdi[data-part=name]').allInnerTexts()

test('directories are opened by the keyboard, and typing goes to a name', async () => {
  await using files = await openFiles(async (dir) => {
    await mkdir(`${dir}/b/deep`, { recursive: true })
    await writeFile(`${dir}/b/deep/x.txt`, '')
    for (const name of ['alpha', 'beta', 'Zeta']) await writeFile(`${dir}/${name}`, '')
  })
  const { page, grid, row } = files
  await row('alpha').waitFor()
  expect(await names(page)).toEqual(['b', 'alpha', 'beta', 'Zeta'])
  await grid.focus()
  await page.keyboard.press('Home')
  await page.keyboard.press('ArrowRight')
  await row('b/deep').waitFor()
  await page.keyboard.press('ArrowRight')
  await page.keyboard.press('Enter')
  await row('b/deep/x.txt').waitFor()
  await expect.poll(() => row('b/deep').getAttribute('aria-expanded')).toBe('true')
  expect(await row('b/deep/x.txt').getAttribute('aria-level')).toBe('3')
  await page.keyboard.press('ArrowLeft')
  await row('b/deep/x.txt').waitFor({ state: 'detached' })
  await page.keyboard.type('ze')
  await expect.poll(() => row('Zeta').getAttribute('aria-selected')).toBe('true')
  const active = await grid.getAttribute('aria-activedescendant')
  expect(active).toBe(await row('Zeta').getAttribute('id'))
})

test('changes of others appear, in directories that are open', async () => {
  await using files = await openFiles(async (dir) => {
    await mkdir(`${dir}/sub`)
    await writeFile(`${dir}/old`, '')
  })
  const { dir, row } = files
  await row('sub').locator('[data-part=twisty]').click()
  await expect.poll(() => row('sub').getAttribute('aria-expanded')).toBe('true')
  await writeFile(`${dir}/sub/new.txt`, 'text')
  await row('sub/new.txt').waitFor()
  await expect.poll(() => row('sub/new.txt').locator('.size').innerText()).toBe('4 B')
  await rename(`${dir}/old`, `${dir}/renamed`)
  await row('renamed').waitFor()
  await row('old').waitFor({ state: 'detached' })
  await rm(`${dir}/sub`, { recursive: true })
  await row('sub').waitFor({ state: 'detached' })
})

test('what happened while the daemon was away is shown when it is back', async () => {
  const tolerates = [/ERR_|status of 503/]
  await using files = await openFiles((dir) => writeFile(`${dir}/before`, ''), { restarts: true, tolerates })
  const { daemon, dir, row, page } = files
  await row('before').waitFor()
  process.kill(daemon.pid, 'SIGKILL')
  await writeFile(`${dir}/meanwhile`, '')
  await rm(`${dir}/before`)
  await row('meanwhile').waitFor()
  await row('before').waitFor({ state: 'detached' })
  await writeFile(`${dir}/after`, '')
  await row('after').waitFor()
  await page.getByText('cannot be reached').waitFor({ state: 'detached' })
})

test('files and directories are made, renamed and deleted, each after a question', async () => {
  await using files = await openFiles((dir) => writeFile(`${dir}/one`, 'content'), {
    tolerates: [/status of 4(04|12)/],
  })
  const { dir, page, grid, row } = files
  const more = async (title: string) => {
    await page.getByRole('button', { name: 'More actions' }).click()
    await page.getByRole('menuitem', { name: title }).click()
  }
  await row('one').click({ position: { x: 300, y: 10 } })
  await grid.focus()
  await page.keyboard.press('F2')
  await page.getByLabel('New name').fill('two words')
  await page.keyboard.press('Enter')
  await row('two words').waitFor()
  expect(await readFile(`${dir}/two words`, 'utf8')).toBe('content')
  await more('New directory')
  await page.getByLabel('Name in').fill('sub')
  await page.keyboard.press('Enter')
  await row('sub').waitFor()
  await more('New file')
  await page.getByLabel('Name in').fill('two words')
  await page.keyboard.press('Enter')
  await page.getByText('It exists already').waitFor()
  await page.keyboard.press('Escape')
  expect(await readFile(`${dir}/two words`, 'utf8')).toBe('content')
  await row('two words').click({ position: { x: 300, y: 10 } })
  await page.keyboard.press('Delete')
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  await page.keyboard.press('Delete')
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await row('two words').waitFor({ state: 'detached' })
  expect(await readdir(dir)).toEqual(['sub'])
})

test('names that are not UTF-8, break lines or turn text around are shown as what they are', async () => {
  await using files = await openFiles(async (dir) => {
    await writeFile(`${dir}/new\nline`, '')
    await writeFile(`${dir}/evil\u202egpj.exe`, '')
    await writeFile(Buffer.concat([Buffer.from(`${dir}/bad`), Buffer.from([0xff]), Buffer.from('.txt')]), '')
    await writeFile(`${dir}/${'x'.repeat(251)}.txt`, 'long')
    await writeFile(`${dir}/<b>bold&amp;`, '')
    await symlink('/nowhere', `${dir}/dangling`)
  })
  const { page, row } = files
  await row('dangling').waitFor()
  expect(await names(page)).toEqual(
    [
      '<b>bold&amp;',
      'bad\uFFFD.txt',
      'dangling',
      'evil⟨U+202E⟩gpj.exe',
      'new\u2424line',
      `${'x'.repeat(251)}.txt`,
    ].sort(),
  )
  await page.getByText('bad\uFFFD.txt').click()
  await page.getByText('This name is not UTF-8').waitFor()
  await page.getByText('xxxx').click()
  await page.getByRole('textbox', { name: /Text of/ }).waitFor()
})

test('a directory of 100,000 entries scrolls to its end, with a bounded number of rows on the page', async () => {
  await using files = await openFiles(async (dir) => {
    for (let at = 0; at < 100_000; at += 100)
      await Promise.all(
        Array.from({ length: 100 }, (_, i) => writeFile(`${dir}/f${String(at + i).padStart(6, '0')}`, '')),
      )
  })
  const { page, grid, row } = files
  const counts: number[] = []
  await row('f000000').waitFor()
  for (let step = 1; step <= 10; step++) {
    await grid.evaluate((element, part) => {
      element.scrollTop = (element.scrollHeight - element.clientHeight) * part
    }, step / 10)
    const wanted = Math.min(99_999, 10_000 * step)
    await row(`f${String(wanted).padStart(6, '0')}`).waitFor()
    counts.push(await page.locator('.rows .row').count())
  }
  await row('f099999').waitFor()
  expect(Math.max(...counts)).toBeLessThan(80)
  await grid.focus()
  await page.keyboard.press('Home')
  await row('f000000').waitFor()
  expect(await grid.getAttribute('aria-rowcount')).toBe('100001')
})
