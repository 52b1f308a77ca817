import { expect, test } from 'vitest'
import { readFileQuery } from '../../../src/http/transfer/file-query.ts'
import { writeOptionsOf } from '../../../src/http/transfer/write-options.ts'

function options(query: string, who: { readonly signed: boolean; readonly isRoot: boolean }) {
  return writeOptionsOf(readFileQuery(`/files?${query}`), { headers: {}, ...who })
}

test('a signature does not stand for permissions that show or raise what was there', () => {
  const signed = { signed: true, isRoot: true }
  expect(options('chmod=0755', signed)).toMatchObject({ chmod: 0o755 })
  expect(options('chmod=0600&mode=atomic', signed)).toMatchObject({ chmod: 0o600, mode: 'atomic' })
  for (const query of ['chmod=4755', 'chmod=1777', 'chmod=0644&mode=append']) {
    expect(() => options(query, signed), query).toThrow(expect.objectContaining({ kind: 'permission_denied' }))
    expect(options(query, { signed: false, isRoot: true })).toHaveProperty('chmod')
  }
  expect(() => options('chmod=2755', { signed: false, isRoot: false })).toThrow(
    expect.objectContaining({ kind: 'permission_denied' }),
  )
})
