import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { fastest, timeOf } from '../_util/fastest.ts'
import { shell, start, transcript } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { connect, kill, list, sendSignal } from './calls.ts'
import { dataOf, outputUntil, startedPid } from './following.ts'
import { alive, descriptors, writtenBytes } from './proc.ts'

const daemon = commonDaemon()
const pty = { cols: 80, rows: 24 }

/** Below this nothing was waited for: the shortest wait, for silence, is 1 s. */
const AT_ONCE_MS = 900

const TEXT_BYTES = 1_000_000

/** Runs a shell command that prints the pid of its background job first. */
async function withJob(command: string, options = {}) {
  const before = performance.now()
  const { stdout, pty: output, end, pid } = await shell(daemon.url, command, options)
  // A fast machine writes more in two seconds than a string can have.
  const text = Buffer.concat([stdout, output]).subarray(0, TEXT_BYTES).toString()
  return { job: Number.parseInt(text, 10), text, end, pid, milliseconds: performance.now() - before }
}

describe.concurrent('after the leader has exited', () => {
  test('D18 a silent job that holds the pipe delays the end by the grace only, and lives on', async () => {
    const { job, text, end, pid, milliseconds } = await withJob('sleep 300 & echo $!; echo hi')
    expect(text).toContain('hi\n')
    expect(end).toMatchObject({ status: 'exit status 0' })
    // The grace is 1 s; without the end of it the end of the process never comes.
    expect(milliseconds).toBeGreaterThan(900)
    expect((await list(daemon.url)).some((process) => process.pid === pid)).toBe(false)
    expect(await alive(job)).toBe(true)
    process.kill(job)
  })

  test('D18 a job with its output elsewhere delays nothing', async () => {
    const shortest = await fastest(AT_ONCE_MS, async () => {
      const { job, milliseconds } = await withJob('sleep 300 >/dev/null 2>&1 & echo $!')
      process.kill(job)
      return milliseconds
    })
    expect(shortest).toBeLessThan(AT_ONCE_MS)
  })

  test('D18 the process stays in the list while its output is waited for', async () => {
    const stream = await start(daemon.url, '/bin/sh', { args: ['-c', 'sleep 300 & echo $!'] })
    const pid = await startedPid(stream)
    const job = Number(await outputUntil(stream, '\n'))
    expect((await list(daemon.url)).some((process) => process.pid === pid)).toBe(true)
    await stream.rest()
    process.kill(job)
  })

  test('D18 a chatty job keeps the stream until it is silent', async () => {
    const { text, end } = await withJob('(for i in 1 2 3 4; do sleep 0.3; echo "tick $i"; done) & echo $!')
    expect(text.match(/tick/g)).toHaveLength(4)
    expect(end).toMatchObject({ status: 'exit status 0' })
  })

  test.each([
    ['logs all the time', 'while sleep 0.2; do echo tick; done', {}],
    ['writes as fast as it can', 'exec yes', {}],
    ['logs to a terminal', 'trap "" HUP; while sleep 0.2; do echo tick; done', { pty }],
  ])(
    'D18 a job that %s delays the end by two seconds, and lives on',
    { timeout: 30_000 },
    async (_title, script, options) => {
      await using directory = await makeTmpDir()
      const file = join(directory.path, 'pid')
      const { end, milliseconds } = await withJob(`(${script}) & echo $! > ${file}; echo started`, options)
      const job = Number(await readFile(file, 'utf8'))
      expect(end).toMatchObject({ status: 'exit status 0' })
      if (!('pty' in options)) {
        expect(milliseconds).toBeGreaterThan(1900)
        expect(await alive(job)).toBe(true)
        const before = await writtenBytes(job)
        await vi.waitUntil(async () => (await writtenBytes(job)) > before, { timeout: 20_000 })
      }
      if (await alive(job)) process.kill(job, 'SIGKILL')
    },
  )

  test('D18 the two seconds hold while the reader takes nothing, and what the command wrote itself comes whole', {
    timeout: 30_000,
  }, async () => {
    const stream = await start(daemon.url, '/bin/sh', { args: ['-c', 'head -c 100000 /dev/zero; yes & echo $! >&2'] })
    const pid = await startedPid(stream)
    const listed = async () => (await list(daemon.url)).some((process) => process.pid === pid)
    await vi.waitUntil(async () => !(await listed()), { timeout: 20_000 })
    const { messages } = await stream.rest()
    const bytes = Buffer.concat(messages.map((message) => dataOf(message)))
    expect(bytes.filter((byte) => byte === 0).length).toBe(100_000)
    const written = messages.find(({ event }) => event.data?.stderr !== undefined)
    process.kill(Number(written === undefined ? Number.NaN : dataOf(written).toString()), 'SIGKILL')
  })

  test('D18 a job that writes after the end is neither killed nor blocked', async () => {
    await using directory = await makeTmpDir()
    const go = join(directory.path, 'go')
    const done = join(directory.path, 'done')
    const script = `until [ -e ${go} ]; do sleep 0.05; done; head -c 3000000 /dev/zero; echo late >&2; echo $? > ${done}`
    const { text } = await withJob(`(${script}) & echo $!`)
    await writeFile(go, '')
    await vi.waitUntil(async () => (await readFile(done, 'utf8').catch(() => '')) === '0\n', { timeout: 20_000 })
    expect(text).toMatch(/^\d+\n$/)
  })

  test.each([
    ['SIGKILL', 'killed', kill],
    ['SIGTERM', 'terminated', (url: string, process: { pid: number }) => sendSignal(url, process, 'SIGNAL_SIGTERM')],
  ] as const)(
    'D61 %s ends the stream at once, though a job in another session holds the pipe',
    async (_signal, status, send) => {
      const round = async () => {
        const args = ['-c', 'setsid sh -c "echo \\$\\$; exec sleep 300" & wait']
        const stream = await start(daemon.url, '/bin/sh', { args })
        const pid = await startedPid(stream)
        const job = Number(await outputUntil(stream, '\n'))
        await send(daemon.url, { pid })
        const milliseconds = await timeOf(async () => {
          expect((await stream.rest()).messages.at(-1)?.event.end).toMatchObject({ status: `signal: ${status}` })
        })
        expect(await alive(job)).toBe(true)
        process.kill(job)
        return milliseconds
      }
      expect(await fastest(AT_ONCE_MS, round)).toBeLessThan(AT_ONCE_MS)
    },
  )

  // A busy machine may take the whole two seconds that such a wait lasts.
  test('D61 SIGKILL for a leader that has exited already ends the wait for its jobs', { retry: 3 }, async () => {
    const args = ['-c', '(trap "" HUP; while sleep 0.1; do echo tick; done) & echo $!']
    const stream = await start(daemon.url, '/bin/sh', { args })
    const pid = await startedPid(stream)
    const job = Number.parseInt(await outputUntil(stream, '\n'), 10)
    await vi.waitUntil(async () => !(await alive(pid)), { timeout: 20_000 })
    expect((await kill(daemon.url, { pid })).status).toBe(200)
    expect((await stream.rest()).messages.at(-1)?.event.end).toMatchObject({ status: 'exit status 0' })
    expect(await alive(job)).toBe(true)
    process.kill(job)
  })

  test('D61 what was written before a SIGKILL is delivered, also to a reader that had stopped', async () => {
    const stream = await start(daemon.url, '/bin/sh', { args: ['-c', 'exec head -c 200000000 /dev/zero'] })
    const pid = await startedPid(stream)
    let written = 0
    const stuck = async () => {
      const before = written
      written = await writtenBytes(pid)
      return written > 100_000 && written === before
    }
    await vi.waitUntil(stuck, { interval: 200, timeout: 20_000 })
    await kill(daemon.url, { pid })
    const { messages } = await stream.rest()
    expect(messages.at(-1)?.event.end).toMatchObject({ status: 'signal: killed' })
    const received = messages.reduce((sum, message) => sum + dataOf(message).length, 0)
    // Three of the bytes went to /proc/self/oom_score_adj, before the program was there.
    expect(received).toBeGreaterThanOrEqual(written - 3)
  })

  test('D68 in a terminal a job that minds the hang-up ends with the leader, at once', async () => {
    const shortest = await fastest(AT_ONCE_MS, async () => {
      const { job, milliseconds } = await withJob('sleep 300 & echo $!', { pty })
      await vi.waitUntil(async () => !(await alive(job)), { timeout: 20_000 })
      return milliseconds
    })
    expect(shortest).toBeLessThan(AT_ONCE_MS)
  })

  test('D68 in a terminal a job that ignores the hang-up lives on, and the end comes', async () => {
    const { job, text, end } = await withJob('trap "" HUP; sleep 300 & echo $!; echo hi', { pty })
    expect(text).toContain('hi\r\n')
    expect(end).toMatchObject({ status: 'exit status 0' })
    expect(await alive(job)).toBe(true)
    process.kill(job)
  })

  test('D34 a Connect during the grace receives the end as well', async () => {
    const stream = await start(daemon.url, '/bin/sh', { args: ['-c', 'sleep 300 & echo $!; exit 4'] })
    const pid = await startedPid(stream)
    const job = Number(await outputUntil(stream, '\n'))
    await vi.waitUntil(async () => !(await alive(pid)), { timeout: 20_000 })
    const late = await transcript(await connect(daemon.url, { pid }))
    expect(late.end).toMatchObject({ exitCode: 4 })
    await stream.rest()
    process.kill(job)
  })
})

test('D18 no descriptor is left of any of them', async () => {
  const before = await descriptors(daemon.pid)
  const jobs = await Promise.all([1, 2, 3, 4, 5].map(() => withJob('sleep 300 & echo $!; exec sleep 0')))
  for (const { job } of jobs) process.kill(job)
  await vi.waitUntil(async () => (await descriptors(daemon.pid)) <= before, { timeout: 20_000 })
})
