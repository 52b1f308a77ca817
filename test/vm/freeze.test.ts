import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { asUser, pidOf, start } from '../_util/rpc.ts'
import { bootMachine, type Machine } from './machine.ts'
import { needsVm, skippedReason } from './qemu.ts'

/** Runs while everything else is frozen (contract H11). */
const SYSTEM = { tag: '_system' }

/** What is killed: the daemon alone, or its keeper, with which the daemon ends and systemd starts the unit anew. */
const VICTIMS = { daemon: 'pgrep -x envd', service: 'systemctl show envd --property MainPID --value' }

describe('the platform freezes a machine whose root is a disk', () => {
  let machine: Machine
  beforeEach((context) => needsVm(context))
  beforeAll(async () => {
    if (skippedReason() !== undefined) return
    machine = await bootMachine(512)
    await machine.healthy()
    await machine.init()
  })
  afterAll(async () => machine?.[Symbol.asyncDispose]())

  const post = async (path: string) =>
    (await sendWhole(machine.url + path, { method: 'POST', headers: machine.headers })).status

  /** A command of the system's that is about to write to the root; gives its pid. */
  const writer = async (file: string) => {
    const args = ['-c', `echo written >${file}; exec sleep 600`]
    const stream = await start(machine.url, '/bin/sh', {
      args,
      headers: { ...machine.headers, ...asUser('root') },
      ...SYSTEM,
    })
    const pid = await pidOf(stream)
    stream.messages.return({}).catch(() => {})
    stream.close()
    return pid
  }
  const stateOf = (pid: number) => machine.sh(`ps -o stat= -p ${pid} | cut -c 1`, SYSTEM)

  test('H3 H7 commands stand still while they are frozen, and go on', async () => {
    await machine.sh('(while :; do echo >>/home/user/count; sleep 0.05; done) >/dev/null 2>&1 &')
    const count = () => machine.sh('wc -l </home/user/count', SYSTEM).then(Number)
    await expect.poll(count).toBeGreaterThan(2)
    expect(await post('/freeze?mode=hierarchy&maxCgroups=512&maxWaitMs=20000')).toBe(200)
    const frozen = await count()
    expect(await machine.sh('cat /sys/fs/cgroup/user/cgroup.events', SYSTEM)).toContain('frozen 1')
    expect(await count()).toBe(frozen)
    expect(await post('/unfreeze')).toBe(204)
    await expect.poll(count).toBeGreaterThan(frozen)
  })

  for (const [name, victim] of Object.entries(VICTIMS))
    for (const commands of ['run', 'are frozen'])
      test(`H12 B60 the ${name}, killed on a frozen disk while commands ${commands}, is back`, async () => {
        const file = `/home/user/${name}-${commands.length}`
        const pid = await machine.sh(victim)
        if (commands === 'are frozen')
          expect(await post('/freeze?mode=hierarchy&maxCgroups=512&maxWaitMs=20000')).toBe(200)
        expect(await post('/fsfreeze')).toBe(204)
        const waiting = await writer(file)
        await expect.poll(() => stateOf(waiting)).toBe('D')
        await machine.sh(`kill -KILL ${pid}`, SYSTEM).catch(() => {})
        console.log(JSON.stringify({ killed: name, commands, back: await machine.healthy() }))
        // What waits for the disk waits still: nothing has thawed it.
        if (name === 'daemon') expect(await stateOf(waiting)).toBe('D')
        expect(await post('/fsthaw')).toBe(204)
        await machine.init()
        expect(await machine.sh(`kill -KILL ${waiting} 2>/dev/null; cat ${file}`)).toBe('written')
        expect(await machine.sh(victim)).not.toBe(pid)
      })
})
