import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { watchEventLoopDelay } from '../../src/lib/event-loop-delay.ts'
import { halt } from '../_util/halt.ts'

test('a halt of the event loop is reported, also one that still lasts', async () => {
  const past = watchEventLoopDelay()
  halt(200)
  await delay(50)
  expect(past.stop()).toBeGreaterThan(150)
  const present = watchEventLoopDelay()
  halt(200)
  expect(present.stop()).toBeGreaterThan(150)
})
