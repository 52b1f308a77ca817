import { rename, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { openResourceReader } from '../../src/metrics/resource-reader.ts'
import { Sampler } from '../../src/metrics/sampler.ts'
import { type LogLine, recordingLog } from '../_util/recording-log.ts'
import { makeTmpDir, type TmpDir } from '../_util/tmp-dir.ts'

/** So long that the schedule never comes to a second sample. */
const NEVER = 1_000_000_000

interface Rig extends AsyncDisposable {
  readonly sampler: Sampler
  readonly lines: LogLine[]
  readonly dir: TmpDir
  /** Sets the ticks of all CPUs together. */
  cpu(busy: number, idle: number): Promise<void>
  /** The share that the latest sample reports. */
  used(): number
}

/** A sampler of a made-up machine, not started yet. */
async function makeRig(period: number, sources: { readonly disk?: string } = {}): Promise<Rig> {
  const dir = await makeTmpDir()
  const put = (name: string, text: string) => writeFile(`${dir.path}/${name}`, text)
  // In place and at once, as the sampler keeps the file open and may read at any time.
  const cpu = (busy: number, idle: number) =>
    writeFile(`${dir.path}/stat`, `cpu  ${busy} 0 0 ${idle}\n`, { flag: 'r+' })
  await put('meminfo', 'MemTotal: 3000 kB\nMemAvailable: 1000 kB\nCached: 512 kB\n')
  await put('cpuinfo', 'processor : 0\n')
  await put('stat', '')
  await cpu(100, 100)
  const { log, lines } = recordingLog()
  const sampler = new Sampler({
    resources: openResourceReader({ proc: dir.path, root: '', disk: sources.disk ?? '/' }),
    activity: () => ({ commands: 1, watchers: 2, watchEventsDropped: 3, watchOverflows: 4, serviceRestarts: 5 }),
    log,
    period,
  })
  return {
    sampler,
    lines,
    dir,
    cpu,
    used: () => sampler.latest().cpuUsedPct,
    async [Symbol.asyncDispose]() {
      await sampler.stop()
      await dir[Symbol.asyncDispose]()
    },
  }
}

/** Resolves when there are that many samples. */
const samples = (sampler: Sampler, count: number) => sampler.hasSample(count - 1, 20_000, AbortSignal.timeout(20_000))

test('E4 a CPU share covers the window of the schedule: a sample in between neither shortens nor splits it', async () => {
  await using rig = await makeRig(NEVER)
  // The reading that the sampler begins with.
  await rig.sampler.sampleNow()
  await rig.cpu(125, 175)
  await rig.sampler.start()
  expect(rig.used()).toBe(25)
  await rig.cpu(225, 175)
  for (let extra = 0; extra < 3; extra++) {
    await rig.sampler.sampleNow()
    expect(rig.used()).toBe(62.5)
  }
})

test('E4 a share is reported once the window that it belongs to is over, and then no more', async () => {
  await using rig = await makeRig(100)
  await rig.sampler.start()
  const steps = [
    { busy: 200, idle: 100, share: 100 },
    { busy: 250, idle: 150, share: 50 },
    { busy: 251, idle: 449, share: 0.33 },
  ]
  // Of all samples, as none lasts longer than a period.
  let seen = 0
  const next = async (share: number) => {
    while (await samples(rig.sampler, seen + 1)) {
      const used = rig.sampler.history.at(seen++)?.cpuUsedPct
      if (used === share) return
      expect(used).toBe(0)
    }
  }
  for (const { busy, idle, share } of steps) {
    await next(0)
    await rig.cpu(busy, idle)
    await next(share)
  }
})

test('the first sample is there when the start resolves, then one after the other without being asked for', async () => {
  await using rig = await makeRig(20)
  expect(() => rig.sampler.latest()).toThrow('no sample was taken yet')
  await rig.sampler.start()
  expect(rig.sampler.latest()).toMatchObject({
    memTotal: 3_072_000,
    memUsed: 2_048_000,
    memCache: 524_288,
    cpuCount: 1,
  })
  expect(rig.sampler.latest()).toMatchObject({
    commandCount: 1,
    watcherCount: 2,
    watchEventsDropped: 3,
    watchOverflows: 4,
    serviceRestarts: 5,
  })
  expect(await samples(rig.sampler, 4)).toBe(true)
})

test('E7 a request right after the start waits for the first sample, and no longer than its call', async () => {
  await using rig = await makeRig(NEVER)
  const over = new AbortController()
  const started = rig.sampler.start()
  const abandoned = expect(rig.sampler.current(AbortSignal.abort())).rejects.toThrow('no sample was taken yet')
  const waiting = rig.sampler.current(over.signal)
  expect(() => rig.sampler.latest()).toThrow('no sample was taken yet')
  expect(await waiting).toMatchObject({ cpuCount: 1 })
  await Promise.all([started, abandoned])
})

test('a last sample is taken at the stop, and none afterwards', async () => {
  await using rig = await makeRig(NEVER)
  await rig.sampler.start()
  const { end } = rig.sampler.history
  await rig.sampler.stop()
  await rig.sampler.sampleNow()
  expect(rig.sampler.history.end).toBe(end + 1)
})

test('E7 while a source fails there is no latest sample, which is logged once; the schedule goes on', async () => {
  await using rig = await makeRig(20)
  await rig.sampler.start()
  await rename(`${rig.dir.path}/stat`, `${rig.dir.path}/gone`)
  await rig.sampler.sampleNow()
  // What is open is still there without its name, so the failure is made by what it says.
  await writeFile(`${rig.dir.path}/gone`, 'nothing\n')
  await expect.poll(() => rig.lines.length).toBe(1)
  expect(() => rig.sampler.latest()).toThrow('cannot be read')
  await rig.sampler.sampleNow()
  await rig.sampler.sampleNow()
  expect(rig.lines).toMatchObject([{ level: 'error', error: '/proc/stat has no line for all CPUs' }])
  await writeFile(`${rig.dir.path}/gone`, 'cpu  1 2 3 4\n')
  await expect.poll(() => rig.sampler.history.end).toBeGreaterThan(3)
  expect(rig.sampler.latest()).toMatchObject({ cpuCount: 1 })
})

test('who waits for a sample is told when there is none for a while, and let go when its call is over', async () => {
  await using rig = await makeRig(NEVER)
  await rig.sampler.start()
  const over = new AbortController()
  const { end } = rig.sampler.history
  expect(await rig.sampler.hasSample(end, 1, over.signal)).toBe(false)
  const waiting = rig.sampler.hasSample(end, NEVER, over.signal)
  over.abort(new Error('over'))
  await expect(waiting).rejects.toThrow('over')
})
