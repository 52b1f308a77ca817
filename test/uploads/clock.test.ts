import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bootId } from '../../src/lib/boot-id.ts'
import { monotonicNow } from '../../src/lib/monotonic-now.ts'
import { keptExpiry, leftOf, newExpiry } from '../../src/uploads/expiry.ts'
import { sendWhole } from '../_util/http.ts'
import { setClock, startWithOwnClock } from '../_util/own-clock.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { crash } from '../keeper/crash.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR

/** Far above what a test takes. */
const NEAR_MS = 60_000

test('a clock that is set removes no upload, neither at once nor in the next daemon', async () => {
  await using dir = await makeTmpDir()
  const args = ['-upload-dir', join(dir.path, 'records')]
  await using daemon = await startWithOwnClock(dir.path, { restarts: true, args })
  const { url } = daemon
  const headers = { 'tus-resumable': '1.0.0' }
  // The next daemon has the clock of the machine again, by which the upload is too old.
  await setClock(daemon, -25 * HOUR)
  const target = `${url}/uploads?path=${encodeURIComponent(join(dir.path, 'big'))}`
  const made = await sendWhole(target, { method: 'POST', headers: { ...headers, 'upload-length': '10' } })
  const upload = new URL(String(made.headers['location']), url).href
  const piece = { ...headers, 'content-type': 'application/offset+octet-stream' }
  const append = (offset: number, text: string) =>
    sendWhole(upload, {
      method: 'PATCH',
      headers: { ...piece, 'upload-offset': String(offset) },
      body: Buffer.from(text),
    })
  expect((await append(0, 'first')).status).toBe(204)
  const left = async (clock: number) => {
    const { status, headers: answer } = await sendWhole(upload, { method: 'HEAD', headers })
    expect([status, answer['upload-offset']]).toEqual([200, '5'])
    return Math.abs(Date.parse(String(answer['upload-expires'])) - Date.now() - clock - DAY)
  }
  expect(await left(-25 * HOUR)).toBeLessThan(NEAR_MS)
  await setClock(daemon, 25 * HOUR)
  expect(await left(25 * HOUR)).toBeLessThan(NEAR_MS)
  await crash(daemon)
  expect(await left(0)).toBeLessThan(NEAR_MS)
  expect((await append(5, ' last')).status).toBe(204)
  expect(await readFile(join(dir.path, 'big'), 'utf8')).toBe('first last')
})

test('an expiry of another boot, or that an older daemon has changed, counts by the wall clock, but no longer than 24 hours', () => {
  const expires = Date.now() + HOUR
  const until = monotonicNow() + 2 * HOUR
  const near = (milliseconds: number) => expect.closeTo(milliseconds, -5)
  const left = (kept: Parameters<typeof keptExpiry>[0]) => leftOf(keptExpiry(kept))
  expect(left({ expires, running: { boot: bootId(), until, expires } })).toEqual(near(2 * HOUR))
  expect(left({ expires, running: { boot: 'another', until, expires } })).toEqual(near(HOUR))
  expect(left({ expires, running: { boot: bootId(), until, expires: expires - 1 } })).toEqual(near(HOUR))
  expect(left({ expires })).toEqual(near(HOUR))
  expect(left({ expires: expires + 100 * DAY })).toEqual(near(DAY))
  expect(left({ expires: Date.now() - 1 })).toBeLessThanOrEqual(0)
  expect(leftOf(newExpiry())).toEqual(near(DAY))
})
