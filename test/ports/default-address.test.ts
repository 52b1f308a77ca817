import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { needsRoot } from '../_util/namespace.ts'

const ownNetwork = fileURLToPath(new URL('network-of-its-own', import.meta.url))
const scenario = fileURLToPath(new URL('default-address-scenario.ts', import.meta.url))

/** What the scenario prints on a machine whose loopback interface has that address, too. */
async function outcome(address: string): Promise<unknown> {
  const { stdout } = await promisify(execFile)(ownNetwork, [address, process.execPath, scenario])
  return JSON.parse(stdout)
}

test('G1 G2 where an interface has 169.254.0.21, loopback ports are forwarded to it without any flag', async (context) => {
  needsRoot(context)
  expect(await outcome('169.254.0.21')).toEqual({
    got: ['from p\n', 'from p\n'],
    states: ['bound to 127.0.0.1, forwarded to 169.254.0.21:3000', 'bound to ::1, forwarded to 169.254.0.21:5173'],
    warnings: [],
  })
})

test('where no interface has it, nothing is forwarded, and the log is not filled with that', async (context) => {
  needsRoot(context)
  const state = 'not forwarded: no interface has 169.254.0.21'
  expect(await outcome('-')).toEqual({ got: ['', ''], states: [state, state], warnings: [] })
})
