import { createRequire } from 'node:module'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { close } from '../../src/native/index.ts'

test('every function of the addon survives arguments of every wrong kind', async () => {
  const addon: Record<string, (...values: unknown[]) => unknown> = createRequire(import.meta.url)(
    join(import.meta.dirname, '../../dist/envd.node'),
  )
  // A descriptor that is open nowhere: what is accepted by its type must not touch the tests' own.
  const kinds = [
    undefined,
    null,
    'text',
    {},
    [],
    Symbol('s'),
    1n,
    true,
    Number.NaN,
    -1,
    0x7fffffff,
    vi.fn(),
    new Float64Array(1),
  ]
  const harmless = Object.keys(addon).filter(
    (name) => !['setClock', 'setChildSubreaper', 'waitOrphan', 'removeTree'].includes(name),
  )
  expect(harmless.length).toBeGreaterThan(12)
  for (const name of harmless) {
    for (const first of kinds) {
      for (const second of kinds) {
        let result: unknown
        try {
          result = await addon[name]?.(first, second, second, first)
        } catch (error) {
          expect(error).toBeInstanceOf(Error)
        }
        if (Array.isArray(result) && (name === 'pipe' || name === 'openTerminal')) for (const fd of result) close(fd)
      }
    }
  }
})
