import { rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { expect, test } from 'vitest'
import { makeCpuMachine } from './machine.ts'

const SOON = { timeout: 10_000, interval: 2 }

test('N6 CPUs go online from the lowest and offline from the highest, one at a time, and CPU 0 never', async () => {
  await using machine = await makeCpuMachine()
  expect(machine.cpus.figures()).toEqual({ online: 2, possible: 4, target: 0 })
  expect(await machine.cpus.request(4)).toBeUndefined()
  await expect.poll(() => machine.cpus.figures(), SOON).toEqual({ online: 4, possible: 4, target: 4 })
  expect(await machine.cpus.request(1)).toBeUndefined()
  await expect.poll(() => machine.online(), SOON).toBe('0')
  expect(machine.writes).toEqual(['cpu2=1', 'cpu3=1', 'cpu3=0', 'cpu2=0', 'cpu1=0'])
})

test('N6 numbers out of range are refused by name, and nothing is written or kept', async () => {
  await using machine = await makeCpuMachine()
  for (const count of [0, -1, 5, 2 ** 53])
    expect(await machine.cpus.request(count)).toBe(`cpu target ${count} outside 1..4`)
  expect(machine.cpus.figures().target).toBe(0)
  expect(() => machine.kept()).toThrow('ENOENT')
  expect(machine.writes).toEqual([])
})

test('N6 a target that cannot be kept is refused', async () => {
  await using machine = await makeCpuMachine()
  rmSync(machine.runDir, { recursive: true })
  writeFileSync(machine.runDir, '')
  expect(await machine.cpus.request(4)).toMatch(/^cpu target 4 not stored: E/)
  expect(machine.cpus.figures().target).toBe(0)
})

test('N6 the target is kept in a file that is replaced whole, and taken up by the next daemon', async () => {
  await using machine = await makeCpuMachine({ obeys: () => false })
  await machine.cpus.request(3)
  expect(machine.kept()).toBe('3')
  const before = statSync(join(machine.runDir, 'cpu-target')).ino
  await machine.cpus.request(4)
  expect(machine.kept()).toBe('4')
  expect(statSync(join(machine.runDir, 'cpu-target')).ino).not.toBe(before)
  await machine.cpus.close()
  const next = await machine.restarted()
  await next.resume()
  expect(next.figures().target).toBe(4)
  // What was asked of the new one counts more.
  const third = await machine.restarted()
  await third.request(2)
  writeFileSync(join(machine.runDir, 'cpu-target'), '3')
  await third.resume()
  expect(third.figures().target).toBe(2)
})

test('N6 what stands in the file and is no target is passed over', async () => {
  await using machine = await makeCpuMachine()
  for (const text of ['', '0', '5', '-1', '1.5', 'x', '2\n3']) {
    writeFileSync(join(machine.runDir, 'cpu-target'), text)
    await machine.cpus.resume()
    expect(machine.cpus.figures().target).toBe(0)
  }
})

test('N6 a run that failed is repeated, later each time, and given up after ten that changed nothing', async () => {
  await using machine = await makeCpuMachine({ obeys: () => false, pause: 1 })
  const began = performance.now()
  await machine.cpus.request(4)
  const givenUp = () => machine.logged.filter(({ level }) => level === 'warn')
  await expect.poll(givenUp, SOON).toMatchObject([{ target: 4, attempts: 10 }])
  // 1 ms, doubled eight times.
  expect(performance.now() - began).toBeGreaterThan(500)
  expect(machine.cpus.progress()).toEqual({ possible: 4, target: 4, attempts: 10, pendingMs: 0 })
  await machine.cpus.request(3)
  await expect.poll(() => machine.cpus.progress().attempts).toBe(1)
})

test('N6 a run that gets on counts anew, and one CPU that comes late is enough', async () => {
  const refused = { times: 3 }
  await using machine = await makeCpuMachine({ obeys: (cpu) => cpu !== 3 || refused.times-- <= 0, pause: 1 })
  await machine.cpus.request(4)
  await expect.poll(() => machine.online(), SOON).toBe('0,1,2,3')
  expect(machine.writes).toEqual(['cpu2=1', 'cpu3=1', 'cpu3=1', 'cpu3=1', 'cpu3=1'])
})

test('N6 a write that hangs holds up nothing else, is reported, and the newest target wins when it ends', async () => {
  await using machine = await makeCpuMachine()
  const stuck = machine.hang(2)
  await machine.cpus.request(4)
  await expect.poll(() => machine.cpus.progress().pendingMs, SOON).toBeGreaterThan(50)
  const [pid] = machine.cpus.pids()
  expect(pid).toBeGreaterThan(0)
  for (const count of [3, 1]) expect(await machine.cpus.request(count)).toBeUndefined()
  expect(machine.cpus.figures()).toEqual({ online: 2, possible: 4, target: 1 })
  expect(machine.cpus.pids()).toEqual([pid])
  await stuck.release()
  await expect.poll(() => machine.online(), SOON).toBe('0')
  await expect.poll(() => machine.cpus.progress(), SOON).toMatchObject({ target: 1, pendingMs: 0 })
  expect(machine.writes).toEqual(['cpu1=0'])
})

test('N6 a daemon that stops does not wait for a write that hangs', async () => {
  await using machine = await makeCpuMachine()
  const stuck = machine.hang(2)
  await machine.cpus.request(4)
  await expect.poll(() => machine.cpus.pids(), SOON).toHaveLength(1)
  await machine.cpus.close()
  await stuck.release()
})

test('N6 the same target again, as with every /init, starts nothing anew', async () => {
  await using machine = await makeCpuMachine({ obeys: () => false, pause: 1000 })
  for (let i = 0; i < 50; i++) await machine.cpus.request(4)
  expect(machine.cpus.progress().attempts).toBe(1)
})

test('N6 nothing of it holds up the event loop', async () => {
  await using machine = await makeCpuMachine()
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  for (const count of [4, 1, 4, 1]) {
    await machine.cpus.request(count)
    await expect.poll(() => machine.cpus.figures().online, SOON).toBe(count)
  }
  delay.disable()
  // A child of Node's own would take more than that each time; other tests take processors too.
  expect(delay.percentile(90) / 1e6).toBeLessThan(20)
})
