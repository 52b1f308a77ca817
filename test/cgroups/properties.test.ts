import { expect, test } from 'vitest'
import { groupProperties } from '../../src/cgroups/properties.ts'

const MIB = 2 ** 20

test('H2 the properties of the three cgroups', () => {
  const most = String(2048 * MIB - 128 * MIB)
  expect(groupProperties(2048 * MIB - 128 * MIB)).toEqual({
    ptys: [
      ['cpu.weight', '200'],
      ['io.weight', 'default 50'],
      ['memory.high', most],
      ['memory.max', most],
    ],
    socats: [
      ['cpu.weight', '150'],
      ['io.weight', 'default 50'],
      ['memory.min', '5242880'],
      ['memory.low', '8388608'],
    ],
    user: [
      ['cpu.weight', '50'],
      ['io.weight', 'default 10'],
      ['memory.high', most],
      ['memory.max', most],
    ],
  })
})
