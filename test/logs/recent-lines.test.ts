import { expect, test } from 'vitest'
import type { LogLine } from '../../src/log.ts'
import { RecentLines } from '../../src/logs/recent-lines.ts'

const line = (text: string, size = text.length): LogLine => ({ size, text: () => text })
const texts = (recent: RecentLines) =>
  Array.from({ length: recent.end - recent.start }, (_, i) => recent.at(recent.start + i)?.line.text())

test('the newest lines stay within 512 KiB in sum, and keep their numbers', () => {
  const recent = new RecentLines()
  for (let i = 0; i < 10_000; i++) recent.push(line(`${i}`, 1024), 'info')
  expect([recent.start, recent.end]).toEqual([10_000 - 512, 10_000])
  expect(texts(recent)).toEqual(Array.from({ length: 512 }, (_, i) => `${10_000 - 512 + i}`))
  expect(recent.at(recent.start - 1)).toBeUndefined()
  expect(recent.at(recent.end)).toBeUndefined()
})

test('a line of more than 64 KiB pushes out no other', () => {
  const recent = new RecentLines()
  recent.push(line('short'), 'warn')
  recent.push(line('long', 64 * 1024 + 1), 'warn')
  expect(texts(recent)).toEqual(['short'])
})

test('who waits for a line is woken by it, and by nothing after the time or the end', async () => {
  const recent = new RecentLines()
  const [leave, never] = [new AbortController(), new AbortController().signal]
  const woken = recent.hasLine(1, 'debug', 60_000, never)
  const left = recent.hasLine(2, 'debug', 60_000, leave.signal)
  expect(await recent.hasLine(0, 'debug', 1, never)).toBe(false)
  recent.push(line('0'), 'info')
  recent.push(line('1'), 'info')
  expect(await woken).toBe(true)
  leave.abort(new Error('left'))
  await expect(left).rejects.toThrow('left')
})

test('who waits for a level is woken by no lower one, and lower ones that give way are no loss', async () => {
  const recent = new RecentLines()
  const never = new AbortController().signal
  const failure = recent.hasLine(0, 'error', 60_000, never)
  let isWoken = false
  void failure.then(() => {
    isWoken = true
  })
  for (let i = 0; i < 600; i++) recent.push(line(`${i}`, 1024), 'warn')
  expect(await recent.hasLine(0, 'warn', 60_000, never)).toBe(true)
  expect(isWoken).toBe(false)
  expect([recent.hasLost(0, 'warn'), recent.hasLost(0, 'error')]).toEqual([true, false])
  recent.push(line('last'), 'error')
  expect(await failure).toBe(true)
})

test('many lines wake those who wait once', async () => {
  const recent = new RecentLines()
  const never = new AbortController().signal
  const first = recent.hasLine(0, 'debug', 60_000, never)
  recent.push(line('0'), 'info')
  await first
  let woken = 0
  const waits = Array.from({ length: 20 }, (_, i) => recent.hasLine(1 + i, 'debug', 60_000, never).then(() => woken++))
  for (let i = 1; i <= 20; i++) recent.push(line(`${i}`), 'info')
  await Promise.resolve()
  expect(woken).toBe(0)
  await Promise.all(waits)
  expect(woken).toBe(20)
})
