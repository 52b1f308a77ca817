import { expect, test } from 'vitest'
import { needsCgroups } from '../_util/namespace.ts'
import { startFreezable } from '../cgroups/freeze/daemon-rig.ts'
import { startPuppet } from './puppet.ts'
import { received } from './sockets.ts'

/** Any address of 127.0.0.0/8 serves; this one is used by no other test. */
const HERE = '127.0.21.31'

/** Above the second that is promised, for a machine that is busy with other tests. */
const SOON = { interval: 50 }

test('N31 a port that opens while commands and `socats` are frozen is forwarded at once', async (context) => {
  needsCgroups(context)
  await using daemon = await startFreezable({ args: ['-forward-address', HERE] })
  await using before = await startPuppet('before')
  const early = await before.listen('127.0.0.1')
  await expect.poll(() => received(HERE, early), SOON).toBe('from before\n')
  expect((await daemon.post('/freeze')).status).toBe(204)
  daemon.root.write('socats/cgroup.freeze', '1')
  expect(daemon.frozen()).toEqual(['ptys', 'socats', 'user'])
  await using during = await startPuppet('during')
  const late = await during.listen('127.0.0.1')
  await expect.poll(() => received(HERE, late), SOON).toBe('from during\n')
  expect(await received(HERE, early)).toBe('from before\n')
  daemon.root.write('socats/cgroup.freeze', '0')
  expect((await daemon.post('/unfreeze')).status).toBe(204)
})
