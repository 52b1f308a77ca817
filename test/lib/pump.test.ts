import { PassThrough, Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { CutShort, pump, type Sink, Stalled } from '../../src/lib/pump.ts'

function collect(wait?: () => Promise<void>): Sink & { text(): string } {
  const chunks: Buffer[] = []
  return {
    write: (chunk) => {
      chunks.push(chunk)
      return wait?.()
    },
    end: async () => {},
    text: () => Buffer.concat(chunks).toString(),
  }
}

test('everything arrives in order, however slow the sink', async () => {
  const sink = collect(() => new Promise((resolve) => setImmediate(resolve)))
  const words = Array.from({ length: 100 }, (_, i) => `${i},`)
  await pump(Readable.from(words.map(Buffer.from), { objectMode: false }), sink)
  expect(sink.text()).toBe(words.join(''))
})

test('a source that ends while the sink refuses its last chunk is no success', async () => {
  const refuse = { write: () => Promise.reject(new Error('refused')), end: () => Promise.resolve() }
  await expect(pump(Readable.from([Buffer.from('x')], { objectMode: false }), refuse)).rejects.toThrow('refused')
})

test('a source that closes before its end is cut short', async () => {
  const source = new PassThrough()
  const done = pump(source, collect())
  source.write('half')
  source.destroy()
  await expect(done).rejects.toBeInstanceOf(CutShort)
  await expect(pump(source, collect())).rejects.toBeInstanceOf(CutShort)
  const failing = new PassThrough()
  const failed = pump(failing, collect())
  failing.destroy(new Error('reset'))
  await expect(failed).rejects.toBeInstanceOf(CutShort)
})

test('a source that says nothing for too long has stalled, a slow sink has not', async () => {
  await expect(pump(new PassThrough(), collect(), { idleMs: 20 })).rejects.toBeInstanceOf(Stalled)
  const slow = collect(() => new Promise((resolve) => setTimeout(resolve, 60)))
  await pump(Readable.from([Buffer.from('a'), Buffer.from('b')], { objectMode: false }), slow, { idleMs: 40 })
  expect(slow.text()).toBe('ab')
})

test('a signal ends the transfer with its reason and leaves the source open', async () => {
  const source = new PassThrough()
  const cancel = new AbortController()
  const done = pump(source, collect(), { signal: cancel.signal })
  cancel.abort(new Error('enough'))
  await expect(done).rejects.toThrow('enough')
  expect(source.destroyed).toBe(false)
  await expect(pump(source, collect(), { signal: cancel.signal })).rejects.toThrow('enough')
})

test('a source that was paused before is read all the same', async () => {
  const source = Readable.from([Buffer.from('abc')])
  source.pause()
  const seen: string[] = []
  await pump(source, { write: (chunk) => void seen.push(String(chunk)), end: () => Promise.resolve() })
  expect(seen).toEqual(['abc'])
})
