import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { downloadLink } from '../../../src/console/files/links.ts'
import { sha256 } from '../../../src/console/files/sha256.ts'

test('SHA-256 is that of OpenSSL for every length up to three blocks', () => {
  for (let length = 0; length < 200; length++) {
    const bytes = Uint8Array.from({ length }, (_, index) => (index * 31 + length) % 256)
    expect(Buffer.from(sha256(bytes)).toString('hex')).toBe(createHash('sha256').update(bytes).digest('hex'))
  }
})

test('B7 a link is signed over path, user, token and its end, and has no token in it', () => {
  const link = downloadLink('/home/user/ä b', { user: 'root', token: 'secret', now: 1_000_000 })
  const query = new URL(link, 'http://localhost').searchParams
  const digest = createHash('sha256').update('/home/user/ä b:read:root:secret:4600').digest('base64')
  expect(Object.fromEntries(query)).toEqual({
    ...{ path: '/home/user/ä b', username: 'root' },
    ...{ signature: `v1_${digest.replace(/=+$/, '')}`, signature_expiration: '4600' },
  })
  expect(link).not.toContain('secret')
})

test('without a token a link has no signature, and a directory is an archive', () => {
  expect(downloadLink('/a', { user: '', token: '', now: 0, archive: 'tar.gz' })).toBe('/files?path=%2Fa&format=tar.gz')
})
