import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readdir, rmdir, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { type Daemon, startDaemon } from '../../_util/daemon.ts'
import { fastest } from '../../_util/fastest.ts'
import { sendWhole } from '../../_util/http.ts'
import { needsNamespace } from '../../_util/namespace.ts'

const BODY = '{"envVars":{"A":"1"}}'
const INIT = `POST /init HTTP/1.1\r\nHost: x\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`

/** An attempt that is sent, and not answered yet. */
async function attempt(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  await once(socket, 'connect')
  socket.write(INIT)
  return socket
}

const timesIn = (text: string, part: string) => text.split(part).length - 1

test('attempts that were given up before the daemon came to them cost no call', async () => {
  await using daemon = await startDaemon({ args: ['-verbose'] })
  process.kill(daemon.pid, 'SIGSTOP')
  for (let i = 0; i < 200; i++) (await attempt(daemon.port)).destroy()
  const last = await attempt(daemon.port)
  process.kill(daemon.pid, 'SIGCONT')
  const [answer] = await once(last, 'data')
  last.destroy()
  expect(String(answer)).toMatch(/^HTTP\/1\.1 204 /)
  await expect.poll(() => daemon.stdout()).toContain('"path":"/init"')
  expect((await sendWhole(`${daemon.url}/envs`)).status).toBe(200)
  await expect.poll(() => daemon.stdout()).toContain('"path":"/envs"')
  expect(timesIn(daemon.stdout(), '"path":"/init"')).toBe(1)
})

test('an attempt over HTTP/2, and a later one on a kept connection, are served', async () => {
  await using daemon = await startDaemon()
  expect((await sendWhole(`${daemon.url}/init`, { method: 'POST', body: BODY, http2: true })).status).toBe(204)
  const socket = await attempt(daemon.port)
  await once(socket, 'data')
  socket.write(INIT)
  await once(socket, 'data')
  socket.destroy()
})

test('of attempts that wait the newest is served first, and all are', async () => {
  await using daemon = await startDaemon()
  process.kill(daemon.pid, 'SIGSTOP')
  const order: number[] = []
  const answers: Promise<unknown>[] = []
  for (let i = 0; i < 5; i++) {
    const socket = await attempt(daemon.port)
    answers.push(
      once(socket, 'data')
        .then(() => order.push(i))
        .finally(() => socket.destroy()),
    )
  }
  process.kill(daemon.pid, 'SIGCONT')
  await Promise.all(answers)
  expect(order).toEqual([4, 3, 2, 1, 0])
})

const CPU = '/cgroup1/cpu'

/** Keeps the daemon at 4 % of a processor while `work` runs: 4 ms of each 100. */
async function starved<T>(daemon: Daemon, work: () => Promise<T>): Promise<T> {
  // Version 1 is the machine's: a pid of this namespace may be another's elsewhere.
  const group = `${CPU}/starved-${randomUUID()}`
  await mkdir(group)
  try {
    await writeFile(`${group}/cpu.cfs_period_us`, '100000')
    await writeFile(`${group}/cpu.cfs_quota_us`, '4000')
    for (const task of await readdir(`/proc/${daemon.pid}/task`)) await writeFile(`${group}/tasks`, task)
    return await work()
  } finally {
    for (const task of await readdir(`/proc/${daemon.pid}/task`).catch(() => [])) await writeFile(`${CPU}/tasks`, task)
    await rmdir(group)
  }
}

/**
 * Attempts of 50 ms each, begun every 5 ms; resolves with the milliseconds to the first success from `after`
 * milliseconds on.
 */
async function untilInitialised({ url }: Daemon, after: number): Promise<number> {
  const begun = performance.now()
  const success = Promise.withResolvers<number>()
  const once = async () => {
    const signal = AbortSignal.timeout(50)
    const answer = await sendWhole(`${url}/init`, { method: 'POST', body: BODY, signal }).catch(() => undefined)
    const late = performance.now() - begun - after
    if (answer?.status === 204 && late > 0) success.resolve(late)
  }
  const timer = setInterval(() => void once(), 5)
  try {
    return await success.promise
  } finally {
    clearInterval(timer)
  }
}

/**
 * It takes less than 1 s, and ten times as long is for a busy machine; in the order of their coming it never succeeds.
 */
const SUCCESS_MS = 10_000

test('K5 at 4 % of a processor, amid attempts of 50 ms every 5 ms, /init succeeds', {
  timeout: 180_000,
}, async (context) => {
  needsNamespace(context)
  if (!existsSync(`${CPU}/cpu.cfs_quota_us`)) context.skip(`${CPU} has no quota to set`)
  const milliseconds = await fastest(SUCCESS_MS, async () => {
    await using daemon = await startDaemon()
    await sendWhole(`${daemon.url}/init`, { method: 'POST', body: BODY })
    // Only after a second is what the daemon has saved of its quota spent.
    return await starved(daemon, () => untilInitialised(daemon, 1000))
  })
  console.log(JSON.stringify({ 'POST /init at 4 % of a processor, ms': milliseconds }))
  expect(milliseconds).toBeLessThan(SUCCESS_MS)
})
