import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { type Daemon, type DaemonOptions, startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { call, shell } from '../_util/rpc.ts'

/** A daemon that the test kills, and its keeper starts again. */
const start = (options: DaemonOptions = {}) => startDaemon({ ...options, restarts: true })

/** Kills the daemon, so that it cannot report its end, and returns its pid. */
function crash(daemon: Daemon, signal: NodeJS.Signals = 'SIGKILL'): number {
  const { pid } = daemon
  process.kill(pid, signal)
  return pid
}

const init = ({ url }: Daemon, body: object) => sendWhole(`${url}/init`, { method: 'POST', body: JSON.stringify(body) })
const health = async ({ url }: Daemon) => (await sendWhole(`${url}/health`)).status

test.each(['SIGKILL', 'SIGSEGV', 'SIGABRT'] as const)(
  'a daemon that ends by %s is started again at once, on the same port, and a client waits for it',
  async (signal) => {
    await using daemon = await start()
    const before = crash(daemon, signal)
    expect(await health(daemon)).toBe(204)
    expect(daemon.pid).not.toBe(before)
    expect(String((await shell(daemon.url, 'echo on')).stdout)).toBe('on\n')
    expect(await daemon.stop()).toBe(0)
    expect(daemon.stdout()).toContain('started again after an unexpected end')
  },
)

test('with localhost both addresses answer again', async () => {
  await using daemon = await start({ args: ['-address', 'localhost'] })
  crash(daemon)
  expect((await sendWhole(`http://127.0.0.1:${daemon.port}/health`)).status).toBe(204)
  expect((await sendWhole(`http://[::1]:${daemon.port}/health`)).status).toBe(204)
})

test('the token, the variables and the defaults of /init are those of before', async () => {
  await using daemon = await start()
  const timestamp = '2026-01-01T00:00:00Z'
  const body = { accessToken: 'secret', envVars: { COLOUR: 'red' }, defaultWorkdir: '/usr', timestamp }
  expect((await init(daemon, body)).status).toBe(204)
  for (let round = 0; round < 3; round++) {
    crash(daemon)
    expect((await call(daemon.url, 'process.Process/List', {})).status).toBe(401)
    const headers = { 'x-access-token': 'secret' }
    expect(String((await shell(daemon.url, 'echo $COLOUR; pwd', { headers })).stdout)).toBe('red\n/usr\n')
    expect((await init(daemon, { accessToken: 'other' })).status).toBe(401)
  }
  // An older request changes nothing (F11), and the same token may be repeated.
  const older = { accessToken: 'secret', envVars: { COLOUR: 'old' }, timestamp: '2025-01-01T00:00:00Z' }
  expect((await init(daemon, older)).status).toBe(204)
  const { text } = await sendWhole(`${daemon.url}/envs`, { headers: { 'x-access-token': 'secret' } })
  expect(JSON.parse(text)).toMatchObject({ COLOUR: 'red' })
})

test('SIGTERM to the daemon itself, and to its keeper, ends both with 0', async () => {
  await using first = await startDaemon()
  process.kill(first.pid, 'SIGTERM')
  expect(await first.ended).toBe(0)
  await using second = await startDaemon()
  process.kill(second.launched, 'SIGTERM')
  expect(await second.ended).toBe(0)
  for (const daemon of [first, second]) await expect(health(daemon)).rejects.toThrow(/ECONNREFUSED/)
  // Both have ended already, and in order.
  expect([await first.stop(), await second.stop()]).toEqual([0, 0])
})

test('the end of the keeper is the end of the daemon', async () => {
  const daemon = await startDaemon()
  const { pid } = daemon
  process.kill(daemon.launched, 'SIGKILL')
  expect(await daemon.ended).toBe(137)
  await expect.poll(() => readFile(`/proc/${pid}/stat`, 'latin1').catch(() => 'gone')).toMatch(/^gone$|\) Z /)
  await expect.poll(() => health(daemon).catch((error) => error.code)).toBe('ECONNREFUSED')
})

test('with -no-keeper there is none, and the capabilities say which it is', async () => {
  await using daemon = await startDaemon({ args: ['--no-keeper'] })
  expect(daemon.pid).toBe(daemon.launched)
  expect((await readFile(`/proc/${daemon.launched}/comm`, 'utf8')).trim()).toBe('envd')
  await using kept = await startDaemon({ args: ['-no-keeper', '-no-keeper=false'] })
  expect(kept.pid).not.toBe(kept.launched)
  for (const [{ url }, on] of [
    [daemon, false],
    [kept, true],
  ] as const) {
    const { features } = JSON.parse((await sendWhole(`${url}/capabilities`)).text)
    expect(features.find(({ name }: { name: string }) => name === 'keeper').on ?? false).toBe(on)
  }
})

test('keeper and daemon have the same priority, victim score and cgroup, and the keeper takes less than a megabyte', async () => {
  await using daemon = await startDaemon()
  const of = (pid: number, file: string) => readFile(`/proc/${pid}/${file}`, 'latin1')
  const stat = async (pid: number) => {
    const text = await of(pid, 'stat')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    // Process group, session and nice value (proc_pid_stat(5)).
    return [fields[2], fields[3], fields[16]]
  }
  expect(await stat(daemon.pid)).toEqual(await stat(daemon.launched))
  for (const file of ['oom_score_adj', 'cgroup'])
    expect(await of(daemon.pid, file)).toBe(await of(daemon.launched, file))
  const resident = Number(/^VmRSS:\s+(\d+) kB$/m.exec(await of(daemon.launched, 'status'))?.[1])
  expect(resident).toBeLessThan(1024)
})
