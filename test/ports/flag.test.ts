import { expect, test } from 'vitest'
import { readConfig } from '../../src/config.ts'

function forwardOf(...argv: string[]): unknown {
  const command = readConfig(argv, {})
  return command.kind === 'run' ? command.config.forward : command
}

test('G2 without the flag ports are forwarded to 169.254.0.21, if there is such an address', () => {
  expect(forwardOf()).toEqual({ address: '169.254.0.21', explicit: false })
})

test('forward-address takes an address of either family, in any form, or off', () => {
  expect(forwardOf('-forward-address', '10.0.0.7')).toEqual({ address: '10.0.0.7', explicit: true })
  expect(forwardOf('-forward-address=FD00:0::7')).toEqual({ address: 'fd00::7', explicit: true })
  expect(forwardOf('-forward-address', 'off')).toBeUndefined()
})

test.each(['eth0', 'localhost', '127.0.0.1', '::1', '0.0.0.0', '::', '0::0', '::ffff:127.0.0.1', '10.0.0.7:80'])(
  'forward-address %s is refused with a message that names the flag',
  (address) => {
    const problem = expect.stringContaining('forward-address must be')
    expect(forwardOf('-forward-address', address)).toMatchObject({ kind: 'usage', problem })
  },
)
