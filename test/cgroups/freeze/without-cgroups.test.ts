import { expect, test } from 'vitest'
import { createWorkload } from '../../../src/cgroups/freeze/workload.ts'
import { NEVER } from '../../../src/lib/never.ts'
import { sendWhole } from '../../_util/http.ts'
import { recordingLog } from '../../_util/recording-log.ts'
import { start } from '../../_util/rpc.ts'
import { sharedDaemon } from '../../_util/shared-daemon.ts'
import { LEGACY } from './rig.ts'

const daemon = sharedDaemon({ args: ['-no-cgroups'] })

function makeWorkload(timing: { readonly startWaitMs?: number; readonly watchdogMs?: number } = {}) {
  const { log, lines } = recordingLog()
  return createWorkload({ root: undefined, log, ...timing }).then((workload) => ({ workload, lines }))
}

test('N4 without cgroups a freeze closes starts, which are unavailable once they have waited', async () => {
  const { workload } = await makeWorkload({ startWaitMs: 30 })
  await workload.freeze(LEGACY, NEVER)
  await expect(workload.gate.enter('user', NEVER, () => "error starting process 'x'")).rejects.toMatchObject({
    kind: 'unavailable',
    message: "error starting process 'x': the target cgroup is frozen",
  })
  expect(await workload.thaw(0)).toBe(false)
  await expect(workload.gate.enter('ptys', NEVER)).rejects.toMatchObject({ kind: 'unavailable' })
  expect(await workload.thaw(1)).toBe(true)
  const leave = await workload.gate.enter('user', NEVER)
  leave()
  await workload.close()
})

test('N4 N35 without cgroups a start under way is waited for, and those that wait go on with the thaw', async () => {
  const { workload } = await makeWorkload()
  const leave = await workload.gate.enter('user', NEVER)
  let frozen = false
  const freezing = workload.freeze(LEGACY, NEVER).then(() => {
    frozen = true
  })
  const waiting = workload.gate.enter('ptys', NEVER)
  expect(frozen).toBe(false)
  leave()
  await freezing
  await workload.freeze(LEGACY, NEVER)
  await workload.unfreeze()
  const done = await waiting
  done()
  await workload.close()
})

test('H9 without cgroups a freeze without a thaw is ended by the watchdog', async () => {
  const { workload, lines } = await makeWorkload({ watchdogMs: 20 })
  await workload.freeze(LEGACY, NEVER)
  const leave = await workload.gate.enter('user', NEVER)
  leave()
  expect(lines.map(({ message }) => message)).toContain('no call has ended the freeze: starts go on')
  await workload.close()
})

test('N4 without cgroups a Start waits from /freeze to /unfreeze, or to /init', async () => {
  for (const end of ['/unfreeze', '/init']) {
    const post = (path: string) => sendWhole(`${daemon.url}${path}`, { method: 'POST', body: '' })
    await post('/freeze')
    let answered = false
    const starting = start(daemon.url, '/bin/true', { stdin: false }).then((stream) => {
      answered = true
      return stream
    })
    // A call that came later is answered first.
    expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
    expect(answered).toBe(false)
    expect((await post(end)).status).toBe(204)
    const stream = await starting
    expect((await stream.next()).event.start?.pid).toBeGreaterThan(0)
    stream.close()
  }
})
