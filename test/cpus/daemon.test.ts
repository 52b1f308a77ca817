import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parseCpuList } from '../../src/cpus/cpu-list.ts'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { startMicroVm } from '../_util/micro-vm.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { init } from '../http/init-calls.ts'

const count = (mask: string) => parseCpuList(readFileSync(`/sys/devices/system/cpu/${mask}`, 'latin1'))?.length ?? 0

test('N6 N17 a daemon in a microVM reports the machine’s own CPUs, keeps the target, and shows it in the metrics', async (context) => {
  needsNamespace(context)
  // As many as there are: other tests need them.
  const [online, possible] = [count('online'), count('possible')]
  await using vm = await startMicroVm()
  const cpusOf = async (body: object) => JSON.parse(String((await init(vm, body)).headers['x-envd-cpus']))
  expect(await cpusOf({})).toEqual({ online, possible, target: 0 })
  expect(await cpusOf({ cpuCount: online })).toEqual({ online, possible, target: online })
  await expect.poll(() => vm.file('cpu-target')).toBe(String(online))
  const rejected = `cpu target ${possible + 1} outside 1..${possible}`
  expect(await cpusOf({ cpuCount: possible + 1 })).toEqual({ online, possible, target: online, rejected })
  expect(JSON.parse((await sendWhole(`${vm.url}/metrics`)).text)).toMatchObject({
    cpu_possible: possible,
    cpu_target: online,
    cpu_target_attempts: 1,
    cpu_write_pending_ms: 0,
  })
})

test('N6 N41 outside of microVMs every number is accepted, and nothing is done', async () => {
  await using daemon = await startDaemon()
  for (const cpuCount of [1, 0, -5, 1000])
    expect((await init(daemon, { cpuCount })).headers['x-envd-cpus']).toBe('{"online":0,"possible":0,"target":0}')
})
