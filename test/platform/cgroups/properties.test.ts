import { expect, test } from 'vitest'
import { groupProperties } from '../../../src/platform/cgroups/properties.ts'

const MIB = 2 ** 20

test('H2 the properties of the three cgroups', () => {
  const most = String(2048 * MIB - 128 * MIB)
  expect(groupProperties(2048 * MIB)).toEqual({
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

test.each([
  [512 * MIB, 448 * MIB],
  [1024 * MIB, 896 * MIB],
  [1025 * MIB, 897 * MIB],
  [8192 * MIB, 8064 * MIB],
  [1_000_001, 875_001],
])('H2 of %d bytes of memory commands get %d: an eighth is left, at most 128 MiB', (total, most) => {
  for (const name of ['ptys', 'user'] as const) {
    const properties = new Map(groupProperties(total)[name])
    expect([properties.get('memory.high'), properties.get('memory.max')]).toEqual([String(most), String(most)])
  }
})
