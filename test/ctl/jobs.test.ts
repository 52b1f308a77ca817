import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { breakableProxy } from './breakable-proxy.ts'
import { ctl } from './ctl.ts'

const daemon = sharedDaemon()
const run = (...args: string[]) => ctl(daemon.url, args)
const lines = (bytes: Buffer) => bytes.toString().trimEnd().split('\n')
const objects = (bytes: Buffer) => lines(bytes).map((line) => JSON.parse(line) as Record<string, unknown>)

/** Starts a command that is left running, and returns its pid. */
async function detached(...args: string[]): Promise<string> {
  return (await run('run', '-d', ...args)).stdout.toString().trim()
}

test('a command that is detached is listed, logged, waited for and killed, by pid and by tag', async () => {
  const pid = await detached('--tag', 'job', 'sh', '-c', 'echo first; exec sleep 1000')
  expect(lines((await run('ps')).stdout)).toContainEqual(
    expect.stringMatching(new RegExp(`^${pid} +job +\\S+ +\\d+s .* running +sh -c `)),
  )
  expect(lines((await run('ps', '-q')).stdout)).toContain(pid)
  expect(objects((await run('ps', '--json')).stdout)).toContainEqual(
    expect.objectContaining({ pid: Number(pid), tag: 'job', state: 'STATE_RUNNING' }),
  )
  await expect.poll(async () => (await run('logs', pid)).stdout.toString()).toBe('first\n')
  const waiting = run('wait', 'job')
  const following = run('logs', '-f', 'job')
  const killed = await run('kill', '-s', 'kill', 'job')
  expect({ ...killed, stdout: killed.stdout.toString() }).toEqual({ code: 0, stderr: '', stdout: 'signal: killed\n' })
  expect(await waiting).toMatchObject({ code: 137 })
  const followed = await following
  expect({ code: followed.code, stdout: followed.stdout.toString() }).toEqual({ code: 137, stdout: 'first\n' })
  expect((await run('ps', '-q')).stdout.toString()).not.toContain(pid)
})

test('ps -a has what ended with the cause, newest first', async () => {
  await run('run', '--tag', 'code', 'sh', '-c', 'exit 3')
  await run('run', '--tag', 'signal', 'sh', '-c', 'kill -9 $$')
  const rows = lines((await run('ps', '-a')).stdout)
  const at = (pattern: RegExp) => rows.findIndex((row) => pattern.test(row))
  expect(at(/ signal .* signal: killed +sh -c kill/)).toBeGreaterThan(0)
  expect(at(/ code .* exit status 3 +sh -c exit 3/)).toBeGreaterThan(at(/ signal .* signal: killed /))
  expect(lines((await run('ps')).stdout).join()).not.toContain('exit status 3')
  expect(objects((await run('ps', '-a', '--json')).stdout)).toContainEqual(
    expect.objectContaining({ tag: 'code', cause: 'CAUSE_EXIT', exitCode: 3 }),
  )
})

test('ps -f reports what starts and ends', async () => {
  let starting: Promise<unknown> | undefined
  const until = (stdout: string) => {
    if (stdout.includes('"watching"')) starting ??= run('run', '--tag', 'told', 'sh', '-c', 'exit 4')
    return stdout.includes('"ended"')
  }
  const { stdout } = await ctl(daemon.url, ['ps', '-f', '--json'], { until })
  await starting
  expect(objects(stdout).slice(-2)).toMatchObject([{ started: { tag: 'told' } }, { ended: { exitCode: 4 } }])
})

test('the key of a start names a command, also one that has ended', async () => {
  await run('run', '--key', 'named', 'sh', '-c', 'echo out; exit 4')
  expect((await run('logs', '-k', 'named')).stdout.toString()).toBe('out\n')
  expect(await run('wait', '-k', 'named')).toMatchObject({ code: 4 })
  expect(await run('kill', '-k', 'named')).toMatchObject({ code: 0 })
  expect(await run('wait', '-k', 'nobody')).toMatchObject({ code: 125 })
})

test('logs of a command that has ended, the last bytes of them, and as messages', async () => {
  await run('run', '--tag', 'ended', 'sh', '-c', 'seq 100 199; echo error >&2; exit 5')
  const whole = await run('logs', 'ended')
  expect(lines(whole.stdout)).toHaveLength(100)
  expect(whole).toMatchObject({ code: 0, stderr: 'error\n' })
  const last = await run('logs', '-f', '--tail', '4', 'ended')
  expect({ ...last, stdout: last.stdout.toString() }).toEqual({ code: 5, stdout: '199\n', stderr: 'ror\n' })
  expect(objects((await run('logs', '--json', '--tail', '0', 'ended')).stdout)).toMatchObject([
    { start: { skipped: { stdout: '400', stderr: '6' } } },
    { end: { exitCode: 5, status: 'exit status 5' } },
  ])
})

test('logs begin with the oldest output that is kept', async () => {
  await using small = await startDaemon({ args: ['-output-window', '262144'] })
  const there = (...args: string[]) => ctl(small.url, args)
  const { stdout } = await there('run', '-d', 'sh', '-c', 'seq 100000; echo done; exec sleep 1000')
  const pid = stdout.toString().trim()
  const shown = async () => (await there('logs', pid)).stdout.toString()
  await expect.poll(async () => (await shown()).endsWith('\n100000\ndone\n')).toBe(true)
  expect((await shown()).length).toBeLessThan(262_145)
  await there('kill', '-s', 'KILL', pid)
})

test('logs -f goes on where it was after a cut, with what came meanwhile', async () => {
  await using dir = await makeTmpDir()
  const file = join(dir.path, 'go')
  using proxy = await breakableProxy(daemon.port)
  // Each line waits for its file.
  const script = 'for i in 1 2 3; do echo $i; while [ ! -e "$0$i" ]; do sleep 0.02; done; done; exit 7'
  const pid = await detached('sh', '-c', script, file)
  let seen = ''
  const following = ctl(proxy.url, ['logs', '-f', pid], {
    until: (stdout) => {
      seen = stdout
      return false
    },
  })
  for (const round of [1, 2]) {
    await vi.waitUntil(() => seen.endsWith(`${round}\n`), { timeout: 15_000 })
    await proxy.cut(async () => {
      await run('run', 'touch', `${file}${round}`)
      await expect.poll(async () => lines((await run('logs', pid)).stdout).length).toBe(round + 1)
    })
  }
  await run('run', 'touch', `${file}3`)
  const { code, stdout } = await following
  expect({ code, stdout: stdout.toString() }).toEqual({ code: 7, stdout: '1\n2\n3\n' })
})

test('wait returns after its time, and waits on through cuts', async () => {
  using proxy = await breakableProxy(daemon.port)
  const pid = await detached('--tag', 'long', 'sleep', '1000')
  const timed = await run('wait', '--timeout', '1', 'long')
  expect({ ...timed, stdout: timed.stdout.toString() }).toEqual({ code: 124, stdout: 'running\n', stderr: '' })
  const waiting = ctl(proxy.url, ['wait', '--json', pid])
  for (let round = 0; round < 3; round++) await proxy.cut(async () => void (await run('ps')))
  await run('kill', pid)
  const { code, stdout } = await waiting
  expect({ code, job: objects(stdout)[0] }).toMatchObject({ code: 143, job: { cause: 'CAUSE_SIGNAL' } })
})

test('kill sends SIGKILL after the grace, and says who is left', async () => {
  const stubborn = await detached('sh', '-c', 'trap "" TERM; echo up; while :; do sleep 0.1; done')
  await expect.poll(async () => (await run('logs', stubborn)).stdout.toString()).toBe('up\n')
  expect((await run('kill', '--grace', '1', stubborn)).stdout.toString()).toBe('signal: killed\n')
  const parent = await detached('sh', '-c', 'sleep 1000 & echo $!; wait')
  await expect.poll(async () => (await run('logs', parent)).stdout.length).toBeGreaterThan(1)
  const child = (await run('logs', parent)).stdout.toString().trim()
  const killed = await run('kill', '--leader', '--json', parent)
  expect(objects(killed.stdout)[0]).toMatchObject({ left: [Number(child)], job: { state: 'STATE_ENDED' } })
  expect(await run('kill', '--leader', parent)).toMatchObject({ code: 0, stderr: `envd ctl: still there: ${child}\n` })
  process.kill(Number(child), 'SIGKILL')
})

test('activity says why the sandbox is busy', async () => {
  const pid = await detached('--tag', 'spin', 'sh', '-c', 'while :; do echo x; sleep 0.1; done')
  const { stdout } = await run('activity')
  expect(stdout.toString()).toMatch(/^busy since \S+\n/)
  expect(stdout.toString()).toMatch(new RegExp(`^ {2}output +pid ${pid} \\(spin\\) sh$`, 'm'))
  expect(objects((await run('activity', '--json')).stdout)[0]).toMatchObject({ busy: true })
  const until = (text: string) => text.endsWith('\n')
  expect(objects((await ctl(daemon.url, ['activity', '-f', '--json'], { until })).stdout)[0]).toMatchObject({
    busy: true,
  })
  await run('kill', pid)
})

test('the input of run -i is written once, whatever is cut', async () => {
  using proxy = await breakableProxy(daemon.port)
  const input = Buffer.from(Array.from({ length: 8_000_000 }, (_, index) => (index * 31) & 0xff))
  const running = ctl(proxy.url, ['run', '-i', '--tag', 'input', '--key', 'input', 'cksum'], { input })
  const written = async () => {
    const { stdout } = await run('ps', '-a', '--json')
    const job = objects(stdout).find(({ tag }) => tag === 'input')
    return job?.['state'] === 'STATE_ENDED' ? Number.POSITIVE_INFINITY : Number(job?.['inputBytes'] ?? 0)
  }
  let cuts = 0
  for (let before = 0; cuts < 4; cuts++) {
    await expect.poll(written).toBeGreaterThan(before)
    before = await written()
    if (before === Number.POSITIVE_INFINITY) break
    await proxy.cut()
  }
  const { code, stdout } = await running
  const expected = await ctl(daemon.url, ['run', '-i', 'cksum'], { input })
  expect({ code, stdout }).toEqual({ code: 0, stdout: expected.stdout })
  expect(stdout.toString()).toContain(' 8000000\n')
  expect(cuts).toBeGreaterThan(1)
})
