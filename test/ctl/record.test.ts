import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { draw, emulator } from '../terminals/drawn.ts'
import { breakableProxy } from './breakable-proxy.ts'
import { ctl } from './ctl.ts'

const daemon = commonDaemon()
const SCRIPT = 'stty -echo; echo up; while read x; do eval "$x"; done'

type CastEvent = [number, string, string]

function cast(text: string): { header: object; events: CastEvent[] } {
  const [header, ...events] = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  return { header, events }
}

const fileText = (file: string) => {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

async function types(tag: string, line: string): Promise<void> {
  const message = { job: { tag }, data: Buffer.from(`${line}\n`).toString('base64') }
  const headers = { 'content-type': 'application/json' }
  await fetch(`${daemon.url}/jobs.v1.Jobs/Write`, { method: 'POST', headers, body: JSON.stringify(message) })
}

test('record writes an asciicast to the end of the terminal, through a cut, and refuses a file that is there', async () => {
  await using dir = await makeTmpDir()
  using proxy = await breakableProxy(daemon.port)
  const file = join(dir.path, 'a.cast')
  await ctl(daemon.url, ['run', '-d', '-t', '--tag', 'recorded', 'sh', '-c', SCRIPT])
  const recording = ctl(proxy.url, ['record', '--json', 'recorded', file])
  await vi.waitUntil(() => fileText(file).includes('up'), { timeout: 15_000 })
  await types('recorded', 'echo one')
  await vi.waitUntil(() => fileText(file).includes('one'), { timeout: 15_000 })
  await proxy.cut(() => types('recorded', 'echo two'))
  await vi.waitUntil(() => fileText(file).includes('two'), { timeout: 15_000 })
  await types('recorded', 'echo three; exit')
  const { code, stdout } = await recording
  const { header, events } = cast(fileText(file))
  expect([code, JSON.parse(stdout.toString())]).toEqual([0, { file, events: events.length }])
  expect(header).toMatchObject({ version: 2, width: 80, height: 24 })
  const times = events.map(([time]) => time)
  expect(times).toEqual(times.toSorted((one, other) => one - other))
  const terminal = emulator(80, 24)
  for (const [, , data] of events) await draw(terminal, data)
  const { active } = terminal.buffer
  expect([0, 1, 2, 3].map((row) => active.getLine(row)?.translateToString(true))).toEqual(['up', 'one', 'two', 'three'])
  expect(await ctl(daemon.url, ['record', 'recorded', file])).toMatchObject({ code: 2 })
})

test('an interrupt ends a recording; it may go to standard output, and replace a file', async () => {
  await using dir = await makeTmpDir()
  await ctl(daemon.url, ['run', '-d', '-t', '--tag', 'shown', 'sh', '-c', SCRIPT])
  const until = (text: string) => text.includes('up')
  const { code, stdout } = await ctl(daemon.url, ['record', 'shown', '-'], { until })
  expect([code, cast(stdout.toString()).events]).toEqual([
    0,
    [[expect.any(Number), 'o', expect.stringContaining('up')]],
  ])
  const file = join(dir.path, 'b.cast')
  writeFileSync(file, 'former')
  const recording = ctl(daemon.url, ['record', '--overwrite', 'shown', file])
  await vi.waitUntil(() => fileText(file).includes('up'), { timeout: 15_000 })
  await ctl(daemon.url, ['kill', '-s', 'KILL', 'shown'])
  expect(await recording).toMatchObject({ code: 0 })
  expect(cast(fileText(file)).header).toMatchObject({ version: 2 })
})
