import { expect, test } from 'vitest'
import { SlabPool } from '../../src/process/slab-pool.ts'

test('memory that the pool has no use for is given back at once, and not by the garbage collector', () => {
  const pool = new SlabPool()
  const slabs = Array.from({ length: 100 }, () => pool.withRoom(undefined))
  for (const slab of slabs) pool.release(slab)
  const kept = slabs.filter(({ memory }) => memory.length > 0)
  expect(kept.length).toBe(64)
  expect(kept.map(() => pool.withRoom(undefined).memory.length)).not.toContain(0)
})
