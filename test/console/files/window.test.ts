import { expect, test } from 'vitest'
import { rowsOfPage, scrolledTo, visibleRows } from '../../../src/console/files/window.ts'

const viewport = { scrollTop: 0, height: 600, rowHeight: 30, count: 100_000 }

test('only rows that are seen, and ten above and below, are on the page', () => {
  expect(visibleRows(viewport)).toEqual({ first: 0, end: 30 })
  expect(visibleRows({ ...viewport, scrollTop: 3000 })).toEqual({ first: 90, end: 130 })
  expect(visibleRows({ ...viewport, scrollTop: 3_000_000 })).toEqual({ first: 99_970, end: 100_000 })
})

test('a list that became shorter than it is scrolled to shows its end', () => {
  expect(visibleRows({ ...viewport, scrollTop: 3000, count: 5 })).toEqual({ first: 0, end: 5 })
  expect(visibleRows({ ...viewport, count: 0 })).toEqual({ first: 0, end: 0 })
})

test('a page that claims to be endless does not get all rows', () => {
  expect(visibleRows({ ...viewport, height: 1e9 }).end).toBe(400)
})

test('a row is scrolled to by as little as shows it whole', () => {
  expect(scrolledTo(2, viewport)).toBe(0)
  expect(scrolledTo(20, viewport)).toBe(30)
  expect(scrolledTo(2, { ...viewport, scrollTop: 90 })).toBe(60)
  expect(rowsOfPage(viewport)).toBe(19)
})
