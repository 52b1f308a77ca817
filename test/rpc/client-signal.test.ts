import { EventEmitter, getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { abortWithClient } from '../../src/rpc/client-signal.ts'
import type { RawResponse } from '../../src/rpc/stream-writer.ts'

test('however many calls are open, the end of the daemon has one listener, and aborts those that are still open', () => {
  const shutdown = new AbortController()
  const calls = Array.from({ length: 100 }, () => {
    const over = new AbortController()
    // Only its events are looked at.
    const response = new EventEmitter() as RawResponse
    return { over, detach: abortWithClient(response, over, shutdown.signal) }
  })
  expect(getEventListeners(shutdown.signal, 'abort')).toHaveLength(1)
  calls[0]?.detach()
  shutdown.abort()
  expect(calls.map(({ over }) => over.signal.aborted)).toEqual(calls.map((_, index) => index > 0))
})
