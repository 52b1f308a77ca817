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
  const woken = recent.hasLine(1, 60_000, never)
  const left = recent.hasLine(2, 60_000, leave.signal)
  expect(await recent.hasLine(0, 1, never)).toBe(false)
  recent.push(line('0'), 'info')
  recent.push(line('1'), 'info')
  expect(await woken).toBe(true)
  leave.abort(new Error('left'))
  await expect(left).rejects.toThrow('left')
})
