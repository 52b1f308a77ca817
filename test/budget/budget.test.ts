import { expect, test } from 'vitest'
import { createByteBudget } from '../../src/budget/budget.ts'
import { budgetTotal } from '../../src/budget/total.ts'

const MIB = 1024 * 1024

test('one owner alone gets half of the budget, and the next one half of the rest', () => {
  const budget = createByteBudget(1200)
  const first = budget.hold('body', { connection: {}, user: 'a' })
  expect(first.tryGrow(601)).toBe(false)
  expect(first.tryGrow(600)).toBe(true)
  const second = budget.hold('input', { connection: {}, user: 'b' })
  expect(second.tryGrow(301)).toBe(false)
  expect(second.tryGrow(300)).toBe(true)
  expect(budget.usage()).toMatchObject({ body: 600, input: 300, frame: 0 })
  expect(budget.refusals).toBe(2)
})

test('the holds of one connection, and of one user on many connections, share', () => {
  const budget = createByteBudget(1200)
  const connection = {}
  expect(budget.hold('body', { connection, user: 'a' }).tryGrow(400)).toBe(true)
  expect(budget.hold('body', { connection, user: 'b' }).tryGrow(300)).toBe(false)
  expect(budget.hold('body', { connection: {}, user: 'a' }).tryGrow(300)).toBe(false)
  expect(budget.hold('body', { connection: {}, user: 'b' }).tryGrow(300)).toBe(true)
})

test('no name and the name of the default user are one user, also when the default user changes', () => {
  let name = 'first'
  const budget = createByteBudget(1200, () => name)
  const unnamed = budget.hold('body', { connection: undefined, user: '' })
  expect(unnamed.tryGrow(400)).toBe(true)
  expect(budget.hold('body', { connection: undefined, user: 'first' }).tryGrow(300)).toBe(false)
  name = 'second'
  expect(budget.hold('body', { connection: undefined, user: 'first' }).tryGrow(300)).toBe(false)
  expect(budget.hold('body', { connection: undefined, user: '' }).tryGrow(300)).toBe(true)
  unnamed.release()
  expect(budget.hold('body', { connection: undefined, user: 'first' }).tryGrow(300)).toBe(true)
})

test('what is given back can be held by others, and a released hold takes nothing', () => {
  const budget = createByteBudget(100)
  const hold = budget.hold('listing', { connection: {}, user: 'a' })
  hold.grow(50)
  hold.shrink(20)
  expect(hold.bytes).toBe(30)
  hold.release()
  hold.release()
  expect(hold.tryGrow(1)).toBe(false)
  expect(budget.usage().listing).toBe(0)
  expect(() => budget.hold('listing', { connection: {}, user: 'a' }).grow(51)).toThrow(/spent/)
})

test('a hold that grows from nothing again counts in the shares of its owner', () => {
  const budget = createByteBudget(100)
  const hold = budget.hold('body', { connection: undefined, user: 'a' })
  hold.grow(10)
  hold.shrink(10)
  hold.grow(40)
  expect(budget.hold('body', { connection: undefined, user: 'a' }).tryGrow(20)).toBe(false)
})

test('the total is an eighth of the memory that the cgroup leaves, between 16 and 256 MiB', () => {
  expect(budgetTotal(512 * MIB, 8192 * MIB)).toBe(64 * MIB)
  expect(budgetTotal(32 * MIB, 8192 * MIB)).toBe(16 * MIB)
  expect(budgetTotal(undefined, 8192 * MIB)).toBe(256 * MIB)
})
