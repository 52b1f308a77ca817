import { expect, test } from 'vitest'
import { LogEntries, noteOf, parseLine } from '../../src/console/log/log-model.ts'
import { Level } from '../../src/gen/logs/v1/logs_pb.js'

const json = (fields: object) => JSON.stringify({ level: 'info', timestamp: '2026-11-29T10:00:00.120Z', ...fields })

test('a line is taken apart, and its other fields are text', () => {
  const fields = { logger: 'process', pid: 7, command: 'my shell', empty: '', ok: true, message: 'process_start' }
  expect(parseLine(Level.INFO, json(fields))).toEqual({
    level: Level.INFO,
    time: Date.parse('2026-11-29T10:00:00.120Z'),
    logger: 'process',
    message: 'process_start',
    fields: 'pid=7 command="my shell" empty="" ok=true',
  })
})

test('lines are chosen by level, logger and text, notes always', () => {
  const entries = new LogEntries()
  entries.add(parseLine(Level.DEBUG, json({ logger: 'envd', message: 'rpc', method: 'List' })))
  entries.add(parseLine(Level.WARN, json({ logger: 'process', message: 'slow', method: 'Start' })))
  entries.add(noteOf('started anew'))
  const all = { level: Level.DEBUG, logger: '', text: '' }
  const matching = (filter: Partial<typeof all>) =>
    entries.matching({ ...all, ...filter }).map(({ message }) => message)
  expect(matching({})).toEqual(['rpc', 'slow', 'started anew'])
  expect(matching({ level: Level.INFO })).toEqual(['slow', 'started anew'])
  expect(matching({ logger: 'envd' })).toEqual(['rpc', 'started anew'])
  expect(matching({ text: 'METHOD=start' })).toEqual(['slow', 'started anew'])
  expect(entries.loggers).toEqual(['console', 'envd', 'process'])
})

test('the newest 10,000 lines are kept, or a tenth more', () => {
  const entries = new LogEntries()
  for (let i = 0; i < 30_000; i++) entries.add(parseLine(Level.INFO, json({ message: `${i}` })))
  expect(entries.all.length).toBeLessThanOrEqual(11_000)
  expect(entries.all.length).toBeGreaterThanOrEqual(10_000)
  expect(entries.all.at(-1)?.message).toBe('29999')
})
