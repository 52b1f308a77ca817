import { execFileSync } from 'node:child_process'
import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { refusal } from '../filesystem/files.ts'
import { serveFiles } from './served.ts'

test('lines are read from a number on, with the total and whether there are more', async () => {
  await using files = await serveFiles()
  await writeFile(join(files.home, 'f'), Array.from({ length: 2_500 }, (_, index) => `line ${index + 1}\n`).join(''))
  const some = await files.readLines({ path: 'f', from: 10n, count: 2 })
  expect(some.lines.map(({ number, text }) => [number, text])).toEqual([
    [10n, 'line 10'],
    [11n, 'line 11'],
  ])
  expect(some).toMatchObject({ total: 2500n, more: true, etag: expect.stringMatching(/^".+"$/) })
  expect((await files.readLines({ path: 'f' })).lines).toHaveLength(1_000)
  expect(await files.readLines({ path: 'f', from: 2500n })).toMatchObject({
    more: false,
    lines: [{ text: 'line 2500' }],
  })
  expect(await files.readLines({ path: 'f', from: 2501n })).toMatchObject({ more: false, lines: [], total: 2500n })
})

test.each([
  ['', []],
  ['\n', ['']],
  ['a', ['a']],
  ['a\nb', ['a', 'b']],
  ['a\n\n\nb\n', ['a', '', '', 'b']],
  ['a\r\nb', ['a\r', 'b']],
])('%j has its lines, also one without a line feed at its end', async (text, lines) => {
  await using files = await serveFiles()
  await writeFile(join(files.home, 'f'), text)
  const read = await files.readLines({ path: 'f' })
  expect(read.lines.map((line) => line.text)).toEqual(lines)
  expect(read).toMatchObject({ total: BigInt(lines.length), more: false })
  for (let from = 1; from <= lines.length; from++) {
    const one = await files.readLines({ path: 'f', from: BigInt(from), count: 1 })
    expect(one).toMatchObject({
      lines: [{ text: lines[from - 1] }],
      total: BigInt(lines.length),
      more: from < lines.length,
    })
  }
})

test('long lines are cut between characters, and say how long they are', async () => {
  await using files = await serveFiles()
  await writeFile(join(files.home, 'f'), `${'€'.repeat(300_000)}\nnext\n`)
  const { lines, more } = await files.readLines({ path: 'f', maxLineBytes: 10 })
  expect(lines).toMatchObject([
    { text: '€€€', cutFromBytes: 900_000n, notUtf8: false },
    { text: 'next', notUtf8: false },
  ])
  expect([lines[1]?.cutFromBytes, more]).toEqual([undefined, false])
})

test('an answer has 1 MiB of text at most', async () => {
  await using files = await serveFiles()
  await writeFile(join(files.home, 'f'), `${'x'.repeat(60_000)}\n`.repeat(100))
  const { lines, total, more } = await files.readLines({ path: 'f', maxLineBytes: 65_536 })
  expect([lines.length, total, more]).toEqual([17, 100n, true])
  expect(files.budget.usage().edit).toBe(0)
})

test('what is not UTF-8 is marked', async () => {
  await using files = await serveFiles()
  await writeFile(join(files.home, 'f'), Buffer.from([0x61, 0xff, 0x0a, 0x62]))
  const { lines } = await files.readLines({ path: 'f' })
  expect(lines).toMatchObject([
    { text: 'a\ufffd', notUtf8: true },
    { text: 'b', notUtf8: false },
  ])
})

test('files of the kernel have lines and no tag; pipes, directories and missing files are refused', async () => {
  await using files = await serveFiles()
  const version = await files.readLines({ path: '/proc/version' })
  expect([version.total, version.more, version.etag]).toEqual([1n, false, undefined])
  execFileSync('mkfifo', [join(files.home, 'pipe')])
  for (const path of ['pipe', '.', '/dev/zero'])
    await expect(files.readLines({ path })).rejects.toMatchObject({ kind: 'invalid_argument' })
  await expect(files.readLines({ path: 'missing' })).rejects.toEqual(refusal('not_found', /does not exist/))
  await expect(files.readLines({ path: '/proc/self/environ' })).rejects.toMatchObject({ kind: 'permission_denied' })
  await expect(files.readLines({ path: 'f', count: 10_001 })).rejects.toEqual(refusal('invalid_argument', /count/))
  await expect(files.readLines({ path: 'f', maxLineBytes: 65_537 })).rejects.toEqual(
    refusal('invalid_argument', /max_line/),
  )
})

test('a file of more than 1 GiB is not read to its end for its total', async () => {
  await using files = await serveFiles()
  await writeFile(join(files.home, 'f'), 'first\n')
  await truncate(join(files.home, 'f'), 2 ** 31)
  const { lines, total, more } = await files.readLines({ path: 'f', count: 1 })
  expect([lines[0]?.text, total, more]).toEqual(['first', undefined, true])
})

test('a client that leaves ends the reading', async () => {
  await using files = await serveFiles()
  await writeFile(join(files.home, 'f'), '')
  await truncate(join(files.home, 'f'), 2 ** 29)
  const leave = new AbortController()
  const reading = files.readLines({ path: 'f' }, { signal: leave.signal })
  leave.abort(new Error('left'))
  await expect(reading).rejects.toThrow('left')
})
