import { expect, test } from 'vitest'
import { createLog, type LogLevel, type LogLine } from '../src/log.ts'

function collecting(level: LogLevel) {
  const lines: string[] = []
  return { level, lines, write: (line: LogLine) => void lines.push(line.text()) }
}

test('G30 a line is a JSON object with level, logger, timestamp, message and its fields', () => {
  const sink = collecting('debug')
  createLog([sink]).named('filesystem').debug({ operation_id: '7', bytes: 3, absent: undefined }, 'some text')
  expect(sink.lines).toHaveLength(1)
  expect(sink.lines[0]).toMatch(/^\{.*\}\n$/)
  expect(JSON.parse(sink.lines[0] ?? '')).toEqual({
    level: 'debug',
    logger: 'filesystem',
    timestamp: expect.any(String),
    operation_id: '7',
    bytes: 3,
    message: 'some text',
  })
})

test('G35 timestamps are RFC 3339 in UTC, of the clock that /init sets', () => {
  const sink = collecting('debug')
  const before = Date.now()
  createLog([sink]).debug({}, 'now')
  const { timestamp }: { timestamp: string } = JSON.parse(sink.lines[0] ?? '')
  expect(timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,9}Z$/)
  expect(Date.parse(timestamp)).toBeGreaterThanOrEqual(before)
  expect(Date.parse(timestamp)).toBeLessThanOrEqual(Date.now())
})

test('each sink gets its own levels, whatever others get', () => {
  const [all, loud] = [collecting('debug'), collecting('warn')]
  const log = createLog([loud, all])
  for (const level of ['debug', 'info', 'warn', 'error'] as const) log[level]({}, level)
  const levels = (lines: readonly string[]) => lines.map((line): unknown => JSON.parse(line).level)
  expect(levels(all.lines)).toEqual(['debug', 'info', 'warn', 'error'])
  expect(levels(loud.lines)).toEqual(['warn', 'error'])
})

test('a line that waits reports the time at which it was written, and about its size', () => {
  const waiting: LogLine[] = []
  const log = createLog([{ level: 'debug', write: (line) => void waiting.push(line) }])
  const before = Date.now()
  log.named('first').debug({ number: 1, text: 'x'.repeat(1000) }, 'one')
  const between = Date.now()
  while (Date.now() <= between + 1);
  log.named('second').info({ number: 2 }, 'two')
  const [one, two] = waiting.map((line) => JSON.parse(line.text()))
  expect(one).toMatchObject({ level: 'debug', logger: 'first', number: 1, message: 'one' })
  expect(two).toMatchObject({ level: 'info', logger: 'second', number: 2, message: 'two' })
  expect(Date.parse(one.timestamp)).toBeGreaterThanOrEqual(before)
  expect(Date.parse(one.timestamp)).toBeLessThanOrEqual(between)
  for (const line of waiting) expect(Math.abs(line.size - line.text().length)).toBeLessThan(60)
})
