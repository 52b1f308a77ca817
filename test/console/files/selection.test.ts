import { expect, test } from 'vitest'
import {
  afterChange,
  extendTo,
  NOTHING,
  parentIndex,
  selectAll,
  selectOnly,
  toggle,
  typeAhead,
} from '../../../src/console/files/selection.ts'
import type { Row } from '../../../src/console/files/tree.ts'

const row = (key: string, level = 1): Row => {
  const name = key.slice(key.lastIndexOf('/') + 1)
  return {
    key,
    level,
    entry: { name, path: key, kind: 'file', size: 0, permissions: '', owner: '', modified: 0, target: undefined },
    ...{ state: 'none', failure: undefined, position: 1, siblings: 1 },
  }
}
const rows = ['/alpha', '/alpine', '/beta', '/gamma'].map((key) => row(key))
const keys = (selected: ReadonlySet<string>) => [...selected].sort()

test('a range goes from the anchor, in both directions, and replaces what was selected', () => {
  const down = extendTo(selectOnly('/alpine'), rows, '/gamma')
  expect(keys(down.selected)).toEqual(['/alpine', '/beta', '/gamma'])
  expect(keys(extendTo(down, rows, '/alpha').selected)).toEqual(['/alpha', '/alpine'])
  expect(keys(extendTo(NOTHING, rows, '/beta').selected)).toEqual(['/beta'])
})

test('a row is added and taken out, and all are selected', () => {
  const two = toggle(selectOnly('/alpha'), '/beta')
  expect(keys(two.selected)).toEqual(['/alpha', '/beta'])
  expect(keys(toggle(two, '/alpha').selected)).toEqual(['/beta'])
  expect(selectAll(two, rows).selected.size).toBe(4)
})

test('after a delete the row in its place has the focus, and the last one if it was the last', () => {
  const after = (key: string, rest: readonly Row[], index: number) =>
    afterChange(selectOnly(key), rest, { index, isShown: (other) => rest.some((each) => each.key === other) })
  expect(after('/gamma', rows.slice(0, 3), 3)).toEqual(selectOnly('/beta'))
  expect(after('/alpha', rows.slice(1), 0)).toEqual(selectOnly('/alpine'))
  expect(after('/alpha', [], 0)).toEqual(NOTHING)
  expect(after('/beta', rows, 2)).toEqual(selectOnly('/beta'))
})

test('typing goes to the next name that begins so, and on from there', () => {
  expect(typeAhead(rows, 0, 'a')).toBe(1)
  expect(typeAhead(rows, 1, 'A')).toBe(0)
  expect(typeAhead(rows, 0, 'al')).toBe(0)
  expect(typeAhead(rows, 0, 'alpi')).toBe(1)
  expect(typeAhead(rows, -1, 'g')).toBe(3)
  expect(typeAhead(rows, 0, 'x')).toBe(-1)
  expect(typeAhead([], -1, 'x')).toBe(-1)
})

test('the row above in the tree is the directory', () => {
  const tree = [row('/d'), row('/d/e', 2), row('/d/e/x', 3), row('/d/e/y', 3), row('/f')]
  expect([parentIndex(tree, 3), parentIndex(tree, 1), parentIndex(tree, 4)]).toEqual([1, 0, -1])
})
