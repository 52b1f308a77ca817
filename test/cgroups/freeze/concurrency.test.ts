import { expect, test } from 'vitest'
import { sendWhole } from '../../_util/http.ts'
import { needsCgroups } from '../../_util/namespace.ts'
import { shell } from '../../_util/rpc.ts'
import { startCounting, startFreezable } from './daemon-rig.ts'

test('H10 freezes, thaws, initializations and starts at once: each is answered, everything runs at the end', {
  timeout: 120_000,
}, async (context) => {
  needsCgroups(context)
  await using rig = await startFreezable({}, ['a/b', 'c'])
  const counter = await startCounting(rig.url)
  const starts: Promise<string>[] = []
  for (let round = 0; round < 100; round++) {
    const calls = [
      rig.post('/freeze?maxWaitMs=20000'),
      rig.post('/unfreeze'),
      rig.post('/freeze?mode=hierarchy&maxWaitMs=20000'),
      rig.post('/init'),
      rig.post('/freeze'),
      rig.post('/unfreeze'),
    ]
    if (round % 5 === 0) starts.push(shell(rig.url, `printf ${round}`).then(({ stdout }) => stdout.toString()))
    const [health, ...answers] = await Promise.all([sendWhole(`${rig.url}/health`), ...calls])
    expect(health.status).toBe(204)
    expect(answers.map(({ status }) => status)).toEqual([200, 204, 200, 204, 204, 204])
    for (const { status, text } of answers)
      if (status === 200) expect(JSON.parse(text)).toMatchObject({ failed: 0, notFrozen: 0 })
  }
  expect((await rig.post('/unfreeze')).status).toBe(204)
  expect(rig.frozen()).toEqual([])
  expect(await Promise.all(starts)).toEqual(Array.from({ length: 20 }, (_, index) => String(index * 5)))
  await counter.counts()
})
