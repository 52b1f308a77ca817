import { expect, test } from 'vitest'
import { parseCpuList } from '../../src/cpus/cpu-list.ts'

test('N6 lists of CPUs are read as sysfs writes them, and nothing else is', () => {
  for (const [text, cpus] of [
    ['0\n', [0]],
    ['0-3\n', [0, 1, 2, 3]],
    ['0,2-3,7\n', [0, 2, 3, 7]],
    ['5,1\nmore', [1, 5]],
    ['', undefined],
    ['\n', undefined],
    ['3-1', undefined],
    ['0-99999', undefined],
    ['0-999999999999', undefined],
    ['a', undefined],
  ] as const)
    expect(parseCpuList(text)).toEqual(cpus)
})
