import { open } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { NEVER } from '../../src/lib/never.ts'
import { endAll } from '../../src/process/end-all.ts'
import type { End } from '../../src/process/exit-status.ts'
import { launch } from '../../src/process/launch.ts'
import { RunningProcess } from '../../src/process/process.ts'
import { Registry } from '../../src/process/registry.ts'
import { launchDeps } from '../_util/launch-deps.ts'
import { self } from '../_util/self.ts'

/** Runs a script of /bin/sh, lets `use` do something with it, and gives its end. */
async function run(
  script: string,
  use: (process: RunningProcess, registry: Registry) => Promise<unknown> = async () => {},
  outputMax?: number,
): Promise<End> {
  const own = await self()
  await using devNull = await open('/dev/null', 'r')
  const config = { cmd: '/bin/sh', args: ['-c', script], envs: {}, cwd: '/' }
  const request = { config, tag: undefined, replay: false, terminal: undefined, stdin: true, signal: NEVER, user: own }
  const { launched, reader } = await launch({ ...request, limits: { outputMax } }, launchDeps(own, devNull.fd))
  reader.close()
  const registry = new Registry()
  const process = new RunningProcess(launched, (ended, end) => registry.retire(ended, end))
  registry.add(process)
  await use(process, registry)
  return process.ended
}

test('an end says when, and how many bytes came and went', async () => {
  const before = Date.now()
  const { usage, cause, limitsHit } = await run('read line; echo "$line"; echo error >&2; exit 3', (process) =>
    process.write('stdin', Buffer.from('12345\n'), { signal: NEVER }),
  )
  expect({ cause, limitsHit }).toEqual({ cause: 'exit', limitsHit: [] })
  expect(usage).toMatchObject({ bytesIn: 6, bytesOut: 12 })
  expect(usage.startedAt).toBeGreaterThanOrEqual(before)
  expect(usage.endedAt).toBeGreaterThanOrEqual(usage.startedAt)
  expect(usage.endedAt).toBeLessThanOrEqual(Date.now())
})

test('bytes that a limit leaves out count', async () => {
  expect((await run('head -c 100000 /dev/zero', undefined, 1024)).usage.bytesOut).toBe(100_000)
})

test('CPU time is that of the command and all that it waited for', async () => {
  const { usage } = await run('sh -c "i=0; while [ \\$i -lt 300000 ]; do i=\\$((i+1)); done"; times')
  expect(usage.cpuSeconds).toBeGreaterThan(0.05)
  expect((await run('sleep 0.3')).usage.cpuSeconds).toBeLessThan(0.2)
})

test('memory is that of its largest process, if it is more than the daemon itself has', async () => {
  const own = process.resourceUsage().maxRSS * 1024
  const size = Math.ceil(own / 2 ** 20) + 100
  const { usage } = await run(`dd if=/dev/zero of=/dev/null bs=${size}M count=1 iflag=fullblock`)
  expect(usage.peakMemory).toBeGreaterThan(size * 2 ** 20)
  expect(usage.peakMemory).toBeLessThan(2 * size * 2 ** 20)
  expect((await run('true')).usage.peakMemory).toBeUndefined()
})

test('the end of the daemon is the cause of an end that it brings', async () => {
  expect(await run('exec sleep 1000', (_, registry) => endAll(registry))).toMatchObject({ cause: 'daemon_stopped' })
  const end = await run('exec sleep 1000', async (process) => process.signal('SIGKILL', NEVER, 'deadline'))
  expect(end).toMatchObject({ cause: 'deadline', error: 'signal: killed' })
})
