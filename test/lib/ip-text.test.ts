import { SocketAddress } from 'node:net'
import { expect, test } from 'vitest'
import { ipText } from '../../src/lib/ip-text.ts'

test.each([
  ['00000000', '0.0.0.0'],
  ['7f000001', '127.0.0.1'],
  ['00000000000000000000000000000000', '::'],
  ['00000000000000000000000000000001', '::1'],
  ['20010db8000000000000000000000000', '2001:db8::'],
  ['20010db8000000010000000000000001', '2001:db8:0:1::1'],
  ['20010db8000000000001000000000001', '2001:db8::1:0:0:1'],
  ['20010db8000100020003000400050000', '2001:db8:1:2:3:4:5:0'],
  ['00000000000000000000ffff7f000001', '127.0.0.1'],
])('the text of %s is %s', (hex, text) => {
  expect(ipText(Buffer.from(hex, 'hex'))).toBe(text)
})

test('the text is what the system writes', () => {
  for (let mask = 0; mask < 256; mask++) {
    const groups = Array.from({ length: 8 }, (_, i) => (mask & (1 << i) ? 'a0b' : '0'))
    const bytes = Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex')
    const { address } = new SocketAddress({ address: groups.join(':'), family: 'ipv6' })
    // The system writes the last 32 bits of what may be an IPv4 address with dots.
    if (!address.includes('.')) expect(ipText(bytes)).toBe(address)
  }
})
