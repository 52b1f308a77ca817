import { mkdir, rmdir } from 'node:fs/promises'
import { afterAll, beforeAll, vi } from 'vitest'

const LOCK = '/tmp/envd-test-upgrade-places.lock'
const WAIT_MS = 300_000

/** What is delivered comes by one file of the machine: files of tests that deliver run one after the other. */
export function lockPlaces(): void {
  let locked = false
  beforeAll(async () => {
    await vi.waitFor(() => mkdir(LOCK), { timeout: WAIT_MS })
    locked = true
  }, WAIT_MS)
  afterAll(async () => {
    if (locked) await rmdir(LOCK)
  })
}
