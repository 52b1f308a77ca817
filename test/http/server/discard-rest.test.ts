import { once } from 'node:events'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { discardRest } from '../../../src/http/server/discard-rest.ts'

test('the rest of a body is read to its end, and its memory given back as it comes', async () => {
  const pieces = Array.from({ length: 20 }, () => Buffer.allocUnsafeSlow(64 * 1024))
  const body = Readable.from(pieces)
  discardRest(body)
  await once(body, 'end')
  expect(pieces.map(({ length }) => length)).toEqual(pieces.map(() => 0))
})

test('of a body that goes on and on no more than the limit is read', async () => {
  let made = 0
  const body = new Readable({
    read() {
      made++
      this.push(Buffer.allocUnsafeSlow(64 * 1024))
    },
  })
  discardRest(body, 1024 * 1024)
  await once(body, 'close')
  expect(made).toBeLessThan(20)
})
