import { expect, test } from 'vitest'
import { needsCgroups } from '../../_util/namespace.ts'
import { call, start } from '../../_util/rpc.ts'
import { type FreezableDaemon, startFreezable } from './daemon-rig.ts'

const LIST = 'process.Process/List'

async function freeze(rig: FreezableDaemon): Promise<void> {
  const answer = await rig.post('/freeze?maxWaitMs=10000')
  expect(JSON.parse(answer.text)).toMatchObject({ frozen: 2, notFrozen: 0 })
}

test('N4 a start into a group that stays frozen is unavailable after 30 s, and runs nothing later', {
  timeout: 60_000,
}, async (context) => {
  needsCgroups(context)
  await using rig = await startFreezable()
  await freeze(rig)
  const began = performance.now()
  const starts = [{}, { pty: { cols: 80, rows: 24 } }].map(async (options) => {
    const stream = await start(rig.url, '/bin/sleep', { args: ['100'], ...options })
    return (await stream.rest()).end.error
  })
  const [plain, terminal] = await Promise.all(starts)
  expect(performance.now() - began).toBeGreaterThan(29_000)
  const code = 'unavailable'
  expect(plain).toMatchObject({ code, message: "error starting process '/bin/sleep 100': the target cgroup is frozen" })
  expect(terminal).toMatchObject({
    code,
    message: expect.stringMatching(/^error starting pty with command .* rows: the target cgroup is frozen$/),
  })
  await rig.post('/unfreeze')
  expect((await call(rig.url, LIST, {})).body).toEqual({})
})
