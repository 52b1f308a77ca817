import { expect, test } from 'vitest'
import { NEVER } from '../../src/lib/never.ts'
import { findShell } from '../../src/supervisor/shell.ts'
import type { Status } from '../../src/supervisor/status.ts'
import { StatusFeed } from '../../src/supervisor/status-feed.ts'

function status(sequence: number): Status {
  return {
    service: 'start',
    state: 'starting',
    sequence,
    since: 0,
    reason: '',
    cause: undefined,
    pid: undefined,
    restarts: 0,
    nextStart: undefined,
    output: Buffer.alloc(0),
  }
}

test('a watcher gets every status in order, also those that came while it did not wait', async () => {
  const feed = new StatusFeed()
  const watcher = feed.subscribe()
  feed.publish(status(1))
  feed.publish(status(2))
  expect((await watcher.next(1000, NEVER))?.sequence).toBe(1)
  expect((await watcher.next(1000, NEVER))?.sequence).toBe(2)
  const third = watcher.next(60_000, NEVER)
  feed.publish(status(3))
  expect((await third)?.sequence).toBe(3)
  expect(await watcher.next(1, NEVER)).toBeUndefined()
})

test('one that takes nothing is ended after what was kept for it, and told so', async () => {
  const feed = new StatusFeed()
  const watcher = feed.subscribe()
  for (let i = 0; i < 300; i++) feed.publish(status(i))
  for (let i = 0; i < 256; i++) expect((await watcher.next(1000, NEVER))?.sequence).toBe(i)
  await expect(watcher.next(1000, NEVER)).rejects.toMatchObject({ kind: 'resource_exhausted' })
})

test('a wait ends with the reason of its signal; a closed watcher hears nothing', async () => {
  const feed = new StatusFeed()
  const watcher = feed.subscribe()
  const over = new AbortController()
  const waiting = watcher.next(60_000, over.signal)
  over.abort(new Error('left'))
  await expect(waiting).rejects.toThrow('left')
  watcher.close()
  feed.publish(status(1))
  expect(await watcher.next(1, NEVER)).toBeUndefined()
})

test('K11 the shell is the first that can be run', async () => {
  expect(await findShell(['/nowhere/bash', '/etc/passwd', '/bin/sh'])).toBe('/bin/sh')
  expect(await findShell(['/bin/sh', '/bin/bash'])).toBe('/bin/sh')
  expect(await findShell(['/nowhere/bash', '/nowhere/sh'])).toBe('/nowhere/sh')
})
