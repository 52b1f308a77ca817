import { execFileSync } from 'node:child_process'
import { readdirSync, readlinkSync } from 'node:fs'
import { chmod, chown, link, mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createByteBudget } from '../../src/budget/budget.ts'
import { refusal } from '../filesystem/files.ts'
import { replace, type Served, serveFiles, write } from './served.ts'

/** The content of each file of a directory: what else is there was left behind. */
async function contents(dir: string): Promise<Record<string, string>> {
  const names = (await readdir(dir)).sort()
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(dir, name), 'utf8')])),
  )
}

async function put({ people, home }: Served, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(home, name), text)
    await chown(join(home, name), people.ann.uid, people.ann.gid)
  }
}

/** What this process has open below a directory. */
function openBelow(dir: string): string[] {
  const targets = readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)]
    } catch {
      return []
    }
  })
  return targets.filter((target) => target.startsWith(dir))
}

test('an edit that fails while others of its files are written leaves nothing open', async () => {
  await using files = await serveFiles()
  const large = 'x'.repeat(4 * 1024 * 1024)
  const edit = files.edit({ files: [write('/proc/none', 'no place'), write('c', large), write('d', large)] })
  await expect(edit).rejects.toThrow()
  expect(openBelow(files.home)).toEqual([])
  expect(await contents(files.home)).toEqual({})
})

test('an edit replaces text in many files and returns their diffs and tags', async () => {
  await using files = await serveFiles()
  await put(files, { a: 'one\ntwo\nthree\n', b: 'x x x' })
  await chmod(join(files.home, 'a'), 0o640)
  const answer = await files.edit({
    files: [replace('a', 'two', 'TWO'), replace('b', 'x', 'y', 2), write('d/c', 'new\n')],
  })
  expect(answer.files).toMatchObject([
    { path: join(files.home, 'a'), replaced: 1, created: false, diffLeftOut: false },
    { path: join(files.home, 'b'), replaced: 1 },
    { path: join(files.home, 'd/c'), created: true, replaced: 0 },
  ])
  expect(answer.files.map(({ diff }) => diff)).toEqual([
    `--- a${files.home}/a\n+++ b${files.home}/a\n@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n`,
    `--- a${files.home}/b\n+++ b${files.home}/b\n@@ -1,1 +1,1 @@\n-x x x\n\\ No newline at end of file\n+x y x\n\\ No newline at end of file\n`,
    `--- /dev/null\n+++ b${files.home}/d/c\n@@ -0,0 +1,1 @@\n+new\n`,
  ])
  expect(await readFile(join(files.home, 'a'), 'utf8')).toBe('one\nTWO\nthree\n')
  expect(await readFile(join(files.home, 'b'), 'utf8')).toBe('x y x')
  expect(await stat(join(files.home, 'a'))).toMatchObject({ mode: 0o100640, uid: files.people.ann.uid })
  expect((await stat(join(files.home, 'd/c'))).uid).toBe(files.people.ann.uid)
  const again = await files.edit({ files: [{ ...replace('a', 'TWO', '2'), etag: answer.files[0]?.etag ?? '' }] })
  expect(again.files[0]?.etag).not.toBe(answer.files[0]?.etag)
  await expect(
    files.edit({ files: [{ ...replace('a', '2', '3'), etag: answer.files[0]?.etag ?? '' }] }),
  ).rejects.toEqual(refusal('condition_failed', /is not as/))
})

test('its diffs are what patch(1) takes', async () => {
  await using files = await serveFiles()
  const before = Array.from({ length: 400 }, (_, line) => `line ${line}`)
  const after = before.toSpliced(3, 1).toSpliced(60, 2, 'a', 'b', 'c').toSpliced(300, 0, 'd').concat('no end')
  for (const [old, fresh] of [
    [before.join('\n'), after.join('\n')],
    [`${before.join('\n')}\n`, `${after.join('\n')}`],
    [after.join('\n'), `${before.join('\n')}\n`],
    ['', 'x'],
    ['x\n', ''],
    ['a\nb\n', 'a\nxb\n'],
    [before.join('\n'), before.toReversed().join('\n')],
    [before.map((line) => `${line}\r`).join('\n'), `${after.join('\n')}`],
  ] as const) {
    await put(files, { f: old })
    const {
      files: [edited],
    } = await files.edit({ files: [write('f', fresh)], dryRun: true })
    expect(edited?.diffLeftOut).toBe(false)
    execFileSync('patch', ['-s', '-p1', '-d', '/'], { input: edited?.diff ?? '' })
    expect(await readFile(join(files.home, 'f'), 'utf8')).toBe(fresh)
  }
})

test('replacements are made one after the other, and each place is counted', async () => {
  await using files = await serveFiles()
  await put(files, { f: 'aaaa' })
  const replacements = [
    { oldText: 'aa', newText: 'b', which: { case: 'all' as const, value: true } },
    { oldText: 'bb', newText: 'ab' },
    { oldText: 'b', newText: 'é€😀' },
  ]
  const answer = await files.edit({ files: [{ path: 'f', change: { case: 'replacements', value: { replacements } } }] })
  expect(answer.files[0]?.replaced).toBe(4)
  expect(await readFile(join(files.home, 'f'), 'utf8')).toBe('aé€😀')
})

test.each([
  ['text that is not there', replace('a', 'nothing', ''), 'failed_precondition'],
  ['text that is there twice', replace('a', 'a', ''), 'failed_precondition'],
  ['an occurrence that is not there', replace('a', 'a', '', 9), 'failed_precondition'],
  ['occurrence 0', replace('a', 'a', '', 0), 'invalid_argument'],
  ['no text', replace('a', '', ''), 'invalid_argument'],
  ['a missing file', replace('missing', 'a', ''), 'not_found'],
  ['a directory', replace('.', 'a', ''), 'invalid_argument'],
  ['a file of the kernel', replace('/proc/version', 'a', ''), 'invalid_argument'],
  ["the daemon's own entries", write('/proc/self/environ', ''), 'permission_denied'],
  ['a device', write('/dev/null', 'x'), 'invalid_argument'],
  ['a directory to be written', write('d', ''), 'invalid_argument'],
  ['another tag', write('a', 'x', '"other"'), 'condition_failed'],
  ['a tag of what is not there', write('missing', 'x', '"other"'), 'condition_failed'],
  ['no tag of what is there', write('a', 'x', ''), 'condition_failed'],
  ['the same file twice', write('./b', 'x'), 'invalid_argument'],
  ['the same file by a link', write('link', 'x'), 'invalid_argument'],
  ['the same file by a linked directory', write('here/b', 'x'), 'invalid_argument'],
  ['no change', { path: 'a' }, 'invalid_argument'],
  ['no path', write('', 'x'), 'invalid_argument'],
])('an edit with %s is refused and changes nothing', async (what, edit, kind) => {
  await using files = await serveFiles()
  await put(files, { a: 'a a', b: 'b' })
  await mkdir(join(files.home, 'd'))
  await symlink('b', join(files.home, 'link'))
  await symlink('.', join(files.home, 'here'))
  const before = await stat(join(files.home, 'b'), { bigint: true })
  for (const dryRun of [true, false]) {
    // Only placing shows what cannot be written.
    if (dryRun && kind === 'invalid_argument' && !what.startsWith('the same')) continue
    await expect(files.edit({ files: [write('b', 'changed'), edit], dryRun })).rejects.toEqual(refusal(kind, /./))
  }
  expect(await stat(join(files.home, 'b'), { bigint: true })).toMatchObject({
    ino: before.ino,
    ctimeNs: before.ctimeNs,
  })
  expect((await readdir(files.home)).sort()).toEqual(['a', 'b', 'd', 'here', 'link'])
  expect(files.budget.usage().edit).toBe(0)
})

test('an edit of one file by a hundred paths is refused before any of them is read', async () => {
  await using files = await serveFiles()
  await put(files, { f: 'line\n'.repeat(200_000) })
  const edits = Array.from({ length: 100 }, (_, index) => replace(`${'./'.repeat(index)}f`, 'line', 'x', 'all'))
  const before = process.resourceUsage().userCPUTime
  await expect(files.edit({ files: edits })).rejects.toEqual(refusal('invalid_argument', /are the same file/))
  expect(process.resourceUsage().userCPUTime - before).toBeLessThan(1_000_000)
  await link(join(files.home, 'f'), join(files.home, 'other'))
  await expect(files.edit({ files: [write('f', 'f'), write('other', 'other')] })).rejects.toEqual(
    refusal('invalid_argument', /are the same file/),
  )
  await files.edit({ files: [write('f', 'f'), write('new/a', 'a'), write('new/b', 'b')] })
  expect(await contents(join(files.home, 'new'))).toEqual({ a: 'a', b: 'b' })
  await expect(files.edit({ files: [write('none/a', ''), write('none/../none/a', '')] })).rejects.toEqual(
    refusal('invalid_argument', /are the same file/),
  )
})

test('when one of the last files cannot be put in its place, those before are put back', async () => {
  await using files = await serveFiles()
  const { home } = files
  const made = Array.from({ length: 50 }, (_, index) => write(`new${index}`, 'x'))
  for (let round = 0; round < 20; round++) {
    await put(files, { a: 'a', c: 'c' })
    await chmod(join(home, 'a'), 0o600)
    const outcome = files.edit({ files: [write('a', 'A'), ...made, write('c', 'C')] }).then(
      () => 'written',
      (error: unknown) => error,
    )
    // The tag of the last one changes while those before are put in their places.
    while ((await Promise.race([outcome, readFile(join(home, 'a'), 'utf8').then((text) => text === 'a')])) === true) {}
    await utimes(join(home, 'c'), round, round).catch(() => {})
    if ((await outcome) === 'written') {
      for (const { path } of made) await rm(join(home, path))
      continue
    }
    expect(await outcome).toEqual(refusal('condition_failed', /'.*\/c' is not as/))
    expect(await contents(home)).toEqual({ a: 'a', c: 'c' })
    expect(await stat(join(home, 'a'))).toMatchObject({ mode: 0o100600, uid: files.people.ann.uid })
    return
  }
  throw new Error('no edit failed in the middle')
})

test('of edits at once that know the same version one succeeds', async () => {
  await using files = await serveFiles()
  await put(files, { f: '0' })
  const etag = (await files.readLines({ path: 'f' })).etag ?? ''
  const outcomes = await Promise.allSettled(
    Array.from({ length: 10 }, (_, index) => files.edit({ files: [write('f', `${index + 1}`, etag)] })),
  )
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  for (const outcome of outcomes)
    if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ kind: 'condition_failed' })
  expect(Object.keys(await contents(files.home))).toEqual(['f'])
})

test('a client that leaves ends its edit, and leaves nothing behind', async () => {
  await using files = await serveFiles()
  await put(files, { f: 'x'.repeat(4_000_000) })
  const leave = new AbortController()
  const edit = files.edit({ files: [replace('f', 'x', 'yy', 'all')] }, { signal: leave.signal })
  leave.abort(new Error('left'))
  await expect(edit).rejects.toThrow('left')
  expect(Object.keys(await contents(files.home))).toEqual(['f'])
  expect(files.budget.usage().edit).toBe(0)
})

test('patterns that slow searches down take time in proportion, and do not hold the event loop', async () => {
  await using files = await serveFiles()
  await put(files, { f: 'a'.repeat(8_000_000) })
  let last = performance.now()
  let longest = 0
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last)
    last = performance.now()
  }, 1)
  const long = 'a'.repeat(400_000)
  for (const pattern of [`b${long}`, `${long}b`, `${long}b${long}`])
    await expect(files.edit({ files: [replace('f', pattern, '')] })).rejects.toEqual(
      refusal('failed_precondition', /not found/),
    )
  await expect(files.edit({ files: [replace('f', 'a', '', 'all')] })).rejects.toEqual(refusal('too_large', /100000/))
  clearInterval(timer)
  // The work in one piece takes more than a second.
  expect(longest).toBeLessThan(500)
})

test('files and results that are too large are refused', async () => {
  await using files = await serveFiles()
  const size = 8 * 1024 * 1024
  await put(files, { large: 'x'.repeat(size + 1), most: `${'x'.repeat(size - 1)}y` })
  await expect(files.edit({ files: [write('large', '')] })).rejects.toEqual(refusal('too_large', /8388609/))
  await expect(files.edit({ files: [replace('most', 'y', 'zz')] })).rejects.toEqual(refusal('too_large', /8388609/))
  const {
    files: [edited],
  } = await files.edit({ files: [replace('most', 'y', 'z')] })
  expect(edited).toMatchObject({ diff: '', diffLeftOut: true, replaced: 1 })
})

test('changes that span more than 10,000 lines are not compared', async () => {
  await using files = await serveFiles()
  await put(files, { most: '\n'.repeat(10_000), more: '\n'.repeat(10_001) })
  const { files: edited } = await files.edit({
    files: ['most', 'more'].map((name) => write(name, `x${'\n'.repeat(9_000)}y`)),
  })
  expect(edited.map(({ diffLeftOut }) => diffLeftOut)).toEqual([false, true])
})

test('an edit that has no room in the memory budget is refused, and gives back what it took', async () => {
  await using files = await serveFiles({ budget: createByteBudget(1024 * 1024) })
  await put(files, { a: 'x'.repeat(400_000), b: 'y'.repeat(400_000) })
  await expect(files.edit({ files: [write('a', 'z'), write('b', 'z')] })).rejects.toMatchObject({
    kind: 'budget_spent',
  })
  expect(files.budget.usage().edit).toBe(0)
  expect(Object.keys(await contents(files.home))).toEqual(['a', 'b'])
})

test('bytes that are not UTF-8 stay, and have no diff', async () => {
  await using files = await serveFiles()
  await writeFile(join(files.home, 'f'), Buffer.from([0xff, 0x61, 0xfe, 0x00]))
  const {
    files: [edited],
  } = await files.edit({ files: [replace('f', 'a', 'b')] })
  expect(edited).toMatchObject({ diffLeftOut: true, replaced: 1 })
  expect(await readFile(join(files.home, 'f'))).toEqual(Buffer.from([0xff, 0x62, 0xfe, 0x00]))
})
