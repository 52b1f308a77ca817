import { chmodSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { call } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { nextOf, watchCalls } from '../watch/watch-calls.ts'

/** What a polled watcher keeps. */
const KEPT = 65_536
/** What the kernel's queue takes at least. */
const ROUND = 8_000
const ROUNDS = 9

test('C40 events that a client does not take in time are counted in the metrics, and reported to that client', async () => {
  await using daemon = await startDaemon()
  await using dir = await makeTmpDir()
  const { createWatcher, watchDir, unary } = watchCalls(() => daemon.url)
  const samples = async () => {
    const { body } = await call(daemon.url, 'metrics.Metrics/Get', {})
    const { text } = await sendWhole(`${daemon.url}/metrics?format=openmetrics`)
    return {
      // What this method answers; a count of 0 is left out.
      service: (body as { sample: { watchEventsDropped?: string } }).sample.watchEventsDropped ?? '0',
      text: /^envd_watch_dropped_events_total (\d+)$/m.exec(text)?.[1],
    }
  }
  // Two names in turn, as equal events one after the other are reported once.
  const names = ['one', 'two'].map((name) => `${dir.path}/${name}`)
  for (const name of names) writeFileSync(name, '')
  const watcherId = await createWatcher({ path: dir.path })
  const reader = await watchDir({ path: dir.path })
  expect(await samples()).toEqual({ service: '0', text: '0' })
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i < ROUND; i++) chmodSync(names[i % 2] ?? '', 0o600)
    expect(await nextOf(reader, ROUND)).toHaveLength(ROUND)
  }
  reader.close()
  const lost = String(ROUNDS * ROUND - KEPT)
  await expect.poll(samples).toEqual({ service: lost, text: lost })
  const { body } = await unary('GetWatcherEvents', { watcherId })
  expect(body).toEqual({
    code: 'resource_exhausted',
    message: `${lost} file events were missed: more than ${KEPT} were waiting to be taken`,
  })
}, 60_000)
