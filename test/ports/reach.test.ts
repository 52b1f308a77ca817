import { expect, test } from 'vitest'
import { reachOf } from '../../src/ports/reach.ts'

const failed = { why: 'forwarding is off' }

test.each([
  ['127.0.0.1', false, 'not forwarded: forwarding is off'],
  ['::1', false, 'not forwarded: forwarding is off'],
  ['127.1.2.3', false, 'not forwarded: bound to 127.1.2.3, only 127.0.0.1 and ::1 are forwarded'],
  ['0.0.0.0', false, 'reachable on all addresses'],
  ['::', false, 'reachable on all addresses'],
  ['::', true, 'reachable on all IPv6 addresses'],
  ['::', undefined, 'reachable on all addresses'],
  ['10.0.0.7', false, 'reachable on 10.0.0.7'],
  ['fd00::7', false, 'reachable on fd00::7'],
] as const)('G1 a listener on %s (IPv6 only: %s) is reported as "%s"', (address, onlyIpv6, state) => {
  const socket = { address, port: 3000, onlyIpv6, uid: 0, inode: '1' }
  expect(reachOf(socket, failed)).toEqual({ forwardAddress: '', state })
})

test('a forward that is up is reported with its address', () => {
  const socket = { address: '::1', port: 3000, onlyIpv6: true, uid: 0, inode: '1' }
  expect(reachOf(socket, { at: '[fd00::7]:3000' })).toEqual({
    forwardAddress: '[fd00::7]:3000',
    state: 'bound to ::1, forwarded to [fd00::7]:3000',
  })
})
