import { copyFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { inNamespace, needsCgroups } from '../_util/namespace.ts'
import { call, pidOf, shell, start, transcript } from '../_util/rpc.ts'
import { bundle, needsMade, skippedReason } from '../image/root.ts'
import { connect, list, sendInput } from '../process/calls.ts'
import { bootMachine, type Machine } from './machine.ts'
import { DAEMON_PORT } from './proxies.ts'

const recipe = fileURLToPath(new URL('../../scripts/recipes/plain-vm.sh', import.meta.url))
const url = `http://127.0.0.1:${DAEMON_PORT}`
const possible =
  inNamespace && process.env['ENVD_TEST_NO_CGROUP'] === undefined && skippedReason('systemd') === undefined

let machine: Machine
beforeEach((context) => {
  needsCgroups(context)
  needsMade(context, 'systemd')
})
beforeAll(async () => {
  if (!possible) return
  machine = await bootMachine()
  await copyFile(recipe, machine.at('/root/plain-vm.sh'))
  await copyFile(`${bundle}.tar.gz`, machine.at('/root/envd.tar.gz'))
  await machine.run('sh', '/root/plain-vm.sh', '/root/envd.tar.gz')
})
afterAll(() => machine?.[Symbol.asyncDispose]())

const property = (name: string) => machine.run('systemctl', 'show', '--value', '--property', name, 'envd')
const health = async () => (await sendWhole(`${url}/health`).catch(() => undefined))?.status

test('the recipe for a plain machine gives a service that runs, is enabled and has the priority of the unit', async () => {
  await expect.poll(health).toBe(204)
  expect(await machine.run('systemctl', 'is-enabled', 'envd')).toBe('enabled')
  expect(await property('ActiveState')).toBe('active')
  const pid = await property('MainPID')
  expect((await machine.run('ps', '-o', 'ni=,comm=', '-p', pid)).trim()).toMatch(/^-20 +envd-keeper$/)
  const daemon = await machine.run('pgrep', '--parent', pid, '--exact', 'envd')
  expect((await machine.run('ps', '-o', 'ni=,ppid=', '-p', daemon)).trim()).toMatch(new RegExp(`^-20 +${pid}$`))
  expect(await property('ExecStart')).toContain('/usr/bin/envd -isnotfc -address localhost')
  expect((await shell(url, 'id -un; cat /etc/hostname | wc -l')).stdout.toString()).toBe('root\n1\n')
})

test('K1 the protection of memory and the weights are those of every cgroup above the service', async () => {
  const group = await machine.run('systemctl', 'show', '--value', '--property', 'ControlGroup', 'envd')
  expect(group).toBe('/envd.slice/envd.service')
  const controllers = await machine.run('cat', '/sys/fs/cgroup/cgroup.controllers')
  for (const unit of ['envd.slice', 'envd.service']) {
    const shown = await machine.run('systemctl', 'show', '-p', 'MemoryMin,MemoryLow,CPUWeight,IOWeight', unit)
    const properties = Object.fromEntries(shown.split('\n').map((line) => line.split('=')))
    expect(properties).toEqual({ MemoryMin: '52428800', MemoryLow: '104857600', CPUWeight: '1000', IOWeight: '10000' })
  }
  // Where version 2 has the controller, what the kernel holds to.
  if (!controllers.split(' ').includes('memory')) return
  for (const path of ['/envd.slice', group])
    expect(await machine.run('cat', `/sys/fs/cgroup${path}/memory.min`)).toBe('52428800')
})

test('a command goes on over a crash of the daemon and an upgrade, for which the unit is not started again', async () => {
  await expect.poll(health).toBe(204)
  const unit = async () => Promise.all(['MainPID', 'NRestarts', 'ActiveState', 'ControlGroup'].map(property))
  const before = await unit()
  const daemon = () => machine.run('pgrep', '--parent', before[0] ?? '', '--exact', 'envd')
  const script = 'while read line; do echo "got $line"; [ "$line" = end ] && exit 7; done; exit 9'
  const pid = await pidOf(await start(url, 'sh', { args: ['-c', script], tag: 'reader' }))
  const first = await daemon()
  await machine.run('kill', '-KILL', first)
  expect(await health()).toBe(204)
  const second = await daemon()
  expect(second).not.toBe(first)
  await sendInput(url, { pid }, { stdin: 'one\n' })

  const upgraded = { method: 'POST', headers: { 'x-envd-upgrade-bundle': '/opt/envd' } }
  await expect(sendWhole(`${url}/upgrade`, upgraded)).rejects.toMatchObject({ code: 'ECONNRESET' })
  const report = async () => JSON.parse((await sendWhole(`${url}/upgrade/status`)).text)
  await expect.poll(report).toMatchObject({ state: 'upgraded' })
  expect([first, second]).not.toContain(await daemon())
  expect(await list(url)).toMatchObject([{ pid, tag: 'reader' }])
  const again = await connect(url, { pid })
  await sendInput(url, { pid }, { stdin: 'end\n' })
  expect((await transcript(again)).end).toMatchObject({ exitCode: 7 })
  expect(await unit()).toEqual(before)
  expect(await machine.run('cat', `/proc/${await daemon()}/cgroup`)).toContain(`0::${before[3]}`)
}, 60_000)

test('a keeper that is killed, with its daemon, comes back', async () => {
  await expect.poll(health).toBe(204)
  const before = await property('MainPID')
  await machine.run('kill', '-KILL', before)
  await expect.poll(() => property('NRestarts')).toBe('1')
  await expect.poll(health).toBe(204)
  expect(await property('MainPID')).not.toBe(before)
})

test('commands survive a restart of the service', async () => {
  await expect.poll(health).toBe(204)
  const stream = await start(url, '/bin/sleep', { args: ['4711'], stdin: false })
  await stream.next()
  await machine.run('systemctl', 'restart', 'envd')
  await expect.poll(health).toBe(204)
  expect(await machine.run('pgrep', '--full', '--count', '^/bin/sleep 4711')).toBe('1')
  stream.close()
  expect((await call(url, 'process.Process/List', {})).body).toEqual({})
})

test('stopping it is a success, and ends in time', async () => {
  await expect.poll(health).toBe(204)
  await machine.run('systemctl', 'stop', 'envd')
  expect([await property('ActiveState'), await property('Result')]).toEqual(['inactive', 'success'])
  expect(await health()).toBeUndefined()
})
