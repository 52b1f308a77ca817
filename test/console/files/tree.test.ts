import { expect, test } from 'vitest'
import { type Entry, toEntry } from '../../../src/console/files/entry.ts'
import { Tree } from '../../../src/console/files/tree.ts'

const entry = (path: string, rest: Partial<Entry> = {}): Entry => ({
  name: path.slice(path.lastIndexOf('/') + 1),
  path,
  kind: 'file',
  size: 1,
  permissions: '-rw-r--r--',
  owner: 'user',
  modified: 0,
  target: undefined,
  ...rest,
})
const directory = (path: string) => entry(path, { kind: 'directory' })
const shown = (tree: Tree) => tree.rows().map(({ level, entry: { name } }) => `${'  '.repeat(level - 1)}${name}`)

function treeOf(...entries: readonly Entry[]): Tree {
  const tree = new Tree('/w')
  tree.setEntries('/w', entries)
  return tree
}

test('directories come first, names are sorted without regard to case', () => {
  const tree = treeOf(entry('/w/b'), entry('/w/A'), directory('/w/z'), entry('/w/c', { size: 0 }))
  expect(shown(tree)).toEqual(['z', 'A', 'b', 'c'])
  tree.sort({ key: 'name', descending: true })
  expect(shown(tree)).toEqual(['z', 'c', 'b', 'A'])
  tree.sort({ key: 'size', descending: false })
  expect(shown(tree)).toEqual(['z', 'c', 'A', 'b'])
})

test('an opened directory is loading, then has its entries below it, with place and number for screen readers', () => {
  const tree = treeOf(directory('/w/d'), entry('/w/f'))
  expect(tree.expand('/w/d')).toBe(true)
  expect(tree.expand('/w/d')).toBe(false)
  expect(tree.rows()[0]).toMatchObject({ state: 'loading', level: 1 })
  tree.setEntries('/w/d', [entry('/w/d/y'), entry('/w/d/x')])
  expect(shown(tree)).toEqual(['d', '  x', '  y', 'f'])
  expect(tree.rows()[2]).toMatchObject({ level: 2, position: 2, siblings: 2 })
  expect(tree.indexOf('/w/d/y')).toBe(2)
  tree.collapse('/w/d')
  expect(shown(tree)).toEqual(['d', 'f'])
  expect(tree.indexOf('/w/d/y')).toBe(-1)
})

test('a list that could not be read shows why, and can be tried again', () => {
  const tree = treeOf(directory('/w/d'))
  tree.expand('/w/d')
  tree.fail('/w/d', 'permission denied')
  expect(tree.rows()[0]).toMatchObject({ state: 'failed', failure: 'permission denied' })
  expect(tree.expand('/w/d')).toBe(true)
})

test('changes come to their places, and what is gone takes what is below it along', () => {
  const tree = treeOf(directory('/w/d'), entry('/w/b'))
  tree.expand('/w/d')
  tree.setEntries('/w/d', [entry('/w/d/x')])
  tree.upsert('/w', entry('/w/a'))
  tree.upsert('/w', entry('/w/b', { size: 7 }))
  expect(shown(tree)).toEqual(['d', '  x', 'a', 'b'])
  expect(tree.rows()[3]?.entry.size).toBe(7)
  tree.remove('/w', 'd')
  expect(shown(tree)).toEqual(['a', 'b'])
  expect(tree.open()).toEqual(['/w'])
  tree.upsert('/elsewhere', entry('/elsewhere/q'))
  expect(shown(tree)).toEqual(['a', 'b'])
})

test('a new list closes directories that are gone and keeps those that are there', () => {
  const tree = treeOf(directory('/w/d'), directory('/w/e'))
  for (const path of ['/w/d', '/w/e']) {
    tree.expand(path)
    tree.setEntries(path, [entry(`${path}/x`)])
  }
  tree.setEntries('/w', [directory('/w/e')])
  expect(shown(tree)).toEqual(['e', '  x'])
})

test('two names that are not UTF-8 and look the same are two rows', () => {
  const tree = treeOf(entry('/w/a\uFFFD'), entry('/w/a\uFFFD'))
  expect(new Set(tree.rows().map(({ key }) => key)).size).toBe(2)
})

test('100,000 entries are sorted at once, and one more is placed without comparing them all', () => {
  const tree = treeOf(...Array.from({ length: 100_000 }, (_, index) => entry(`/w/f${(index * 7919) % 100_000}`)))
  const timeOfRows = (change: () => void) => {
    const begun = process.threadCpuUsage()
    change()
    expect(tree.rows().length).toBeGreaterThanOrEqual(100_000)
    const { user, system } = process.threadCpuUsage(begun)
    return (user + system) / 1000
  }
  const sorted = Array.from({ length: 3 }, () => timeOfRows(() => tree.sort(tree.order)))
  const placed = ['f0f', 'f0d', 'f0a'].map((name) => timeOfRows(() => tree.upsert('/w', entry(`/w/${name}`))))
  expect(tree.rows()[1]?.entry.name).toBe('f0a')
  // Some 110 and 300 ms of the processor; the least of each is without a collection of all that the entries take.
  expect(Math.min(...placed)).toBeLessThan(0.7 * Math.min(...sorted))
  expect(Math.min(...placed)).toBeLessThan(300)
})

test('an entry has the kind of what its link leads to, its own path, and numbers of JavaScript', () => {
  const message = {
    name: 'l',
    size: 5n,
    permissions: 'Lrwxrwxrwx',
    owner: 'root',
    modifiedTime: { seconds: 2n, nanos: 5e8 },
  }
  expect(toEntry('/w', { ...message, type: 2, symlinkTarget: '/etc' })).toEqual({
    ...{ name: 'l', path: '/w/l', kind: 'directory', size: 5, permissions: 'Lrwxrwxrwx', owner: 'root' },
    ...{ modified: 2500, target: '/etc' },
  })
  expect(toEntry('/w', { ...message, type: 0 }).kind).toBe('other')
})
