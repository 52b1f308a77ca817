import { expect, test } from 'vitest'
import { MAX_UPLOADS, type Sent, UploadQueue } from '../../../src/console/files/upload-queue.ts'

/** A queue whose files are sent when the test says so. */
function rig() {
  const sending = new Map<
    string,
    { end: PromiseWithResolvers<Sent>; progress: (sent: number) => void; replace: boolean }
  >()
  const discarded: string[] = []
  const settled = () => new Promise((resolve) => setImmediate(resolve))
  const queue = new UploadQueue<string>({
    onChange: () => undefined,
    discard: async (source) => void discarded.push(source),
    send: async (source, { replace }, { signal, onProgress }) => {
      const end = Promise.withResolvers<Sent>()
      signal.addEventListener('abort', () => end.reject(signal.reason))
      sending.set(source, { end, progress: onProgress, replace })
      return end.promise.finally(() => sending.delete(source))
    },
  })
  const add = (...names: readonly string[]) => {
    queue.add(names.map((name) => ({ source: name, path: `/w/${name}`, size: 10 })))
    return settled()
  }
  const states = () => queue.uploads().map(({ state }) => state)
  const of = (name: string) => {
    const found = sending.get(name)
    if (found === undefined) throw new Error(`${name} is not being sent`)
    return found
  }
  return { queue, add, states, sending, of, settled, discarded }
}

test('three files are sent at a time, in their order', async () => {
  const { add, sending, of, settled, states } = rig()
  await add('a', 'b', 'c', 'd')
  expect([...sending.keys()]).toEqual(['a', 'b', 'c'])
  of('b').end.resolve('done')
  await settled()
  expect([...sending.keys()]).toEqual(['a', 'c', 'd'])
  expect(states()).toEqual(['sending', 'done', 'sending', 'sending'])
})

test('progress is counted in sum, and no more than the size', async () => {
  const { queue, add, of } = rig()
  await add('a', 'b')
  of('a').progress(4)
  of('b').progress(40)
  expect(queue.totals()).toMatchObject({ files: 2, open: 2, bytes: 20, sent: 14 })
})

test('what is cancelled is ended and does not count, others go on', async () => {
  const { queue, add, sending, settled, states } = rig()
  await add('a', 'b', 'c', 'd')
  queue.cancel(1)
  queue.cancel(4)
  await settled()
  expect(states()).toEqual(['cancelled', 'sending', 'sending', 'cancelled'])
  expect([...sending.keys()]).toEqual(['b', 'c'])
  expect(queue.totals().files).toBe(2)
})

test('what is paused gives its place to others, goes on where it was, and leaves nothing when it is cancelled', async () => {
  const { queue, add, sending, of, settled, states, discarded } = rig()
  await add('a', 'b', 'c', 'd')
  of('a').progress(4)
  queue.pause(1)
  await settled()
  expect(states()).toEqual(['paused', 'sending', 'sending', 'sending'])
  expect(queue.totals()).toMatchObject({ open: 4, sent: 4 })
  queue.clear()
  queue.retry(1)
  expect(queue.uploads()[0]).toMatchObject({ state: 'waiting', sent: 4 })
  of('b').end.resolve('done')
  await settled()
  expect([...sending.keys()]).toEqual(['c', 'd', 'a'])
  queue.pause(1)
  await settled()
  expect(discarded).toEqual([])
  queue.cancel(1)
  await settled()
  expect(discarded).toEqual(['a'])
})

test('what has come is removed when an upload is cancelled, or given up after a failure', async () => {
  const { queue, add, of, settled, discarded } = rig()
  await add('a', 'b', 'c')
  queue.cancel(1)
  of('b').end.reject(new Error('disk full'))
  await settled()
  expect(discarded).toEqual(['a'])
  queue.clear()
  await settled()
  expect(discarded).toEqual(['a', 'b'])
})

test('what is cancelled and sent again at once can be cancelled again', async () => {
  const { queue, add, sending, settled, states } = rig()
  await add('a')
  queue.cancel(1)
  queue.retry(1)
  await settled()
  expect(states()).toEqual(['sending'])
  queue.cancel(1)
  await settled()
  expect(states()).toEqual(['cancelled'])
  expect(sending.size).toBe(0)
})

test('a failure is kept with its reason and can be tried again', async () => {
  const { queue, add, of, settled, states } = rig()
  await add('a')
  of('a').end.reject(new Error('disk full'))
  await settled()
  expect(queue.uploads()[0]).toMatchObject({ state: 'failed', failure: 'disk full' })
  queue.retry(1)
  await settled()
  of('a').end.resolve('done')
  await settled()
  expect(states()).toEqual(['done'])
})

test('a file that exists waits for a choice, and is replaced only then', async () => {
  const { queue, add, of, settled, states } = rig()
  await add('a', 'b')
  expect(of('a').replace).toBe(false)
  of('a').end.resolve('exists')
  of('b').end.resolve('exists')
  await settled()
  expect(states()).toEqual(['exists', 'exists'])
  queue.replaceAll()
  await settled()
  expect([of('a').replace, of('b').replace]).toEqual([true, true])
})

test('what is over is forgotten, and no more files are taken than can be kept', async () => {
  const { queue, add, of, settled, states } = rig()
  await add('a', 'b')
  of('a').end.resolve('done')
  await settled()
  queue.clear()
  expect(states()).toEqual(['sending'])
  const many = Array.from({ length: MAX_UPLOADS }, (_, index) => ({ source: `${index}`, path: `/${index}`, size: 1 }))
  expect(queue.add(many)).toBe(1)
  queue.cancelAll()
})
