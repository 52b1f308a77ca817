import { beforeEach, expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { asUser, call, shell } from '../_util/rpc.ts'

beforeEach(needsNamespace)

const headers = { ...asUser('user'), 'x-access-token': 'secret' }

test('no user reaches the keeper, what it keeps, or the way to it', async () => {
  await using daemon = await startDaemon()
  const body = JSON.stringify({ accessToken: 'secret' })
  expect((await sendWhole(`${daemon.url}/init`, { method: 'POST', body })).status).toBe(204)
  for (const pid of [daemon.launched, daemon.pid]) {
    const attempts = [
      `ls /proc/${pid}/fd`,
      `cat /proc/${pid}/fd/*`,
      `cat /proc/${pid}/environ`,
      `cat /proc/${pid}/mem`,
      `cat /proc/${pid}/maps`,
      `kill -0 ${pid}`,
      `kill -STOP ${pid}`,
      `kill -KILL ${pid}`,
    ]
    for (const attempt of attempts) {
      const { end, stdout } = await shell(daemon.url, attempt, { headers })
      expect([attempt, end?.exitCode === 0, String(stdout)]).toEqual([attempt, false, ''])
    }
  }
  expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
})

test('no path of the file calls leads to the entries of the keeper in /proc, root neither', async () => {
  await using daemon = await startDaemon()
  const entries = [`/proc/${daemon.launched}`, `/proc/${daemon.launched}/task/${daemon.launched}`]
  for (const path of entries.flatMap((entry) => [entry, `${entry}/environ`, `${entry}/mem`, `${entry}/fd/0`])) {
    for (const username of ['user', 'root']) {
      const file = `${daemon.url}/files?path=${path}&username=${username}`
      expect([path, (await sendWhole(file)).status]).toEqual([path, 403])
      const body = { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: 'x' }
      expect([path, (await sendWhole(file, body)).status]).toEqual([path, 403])
    }
    expect((await call(daemon.url, 'filesystem.Filesystem/ListDir', { path })).status).toBe(403)
  }
})

test('commands have neither the descriptor nor the variable of the keeper, as root as well', async () => {
  await using daemon = await startDaemon()
  const { stdout } = await shell(daemon.url, 'env; ls -l /proc/self/fd')
  expect(String(stdout)).not.toMatch(/KEEPER|memfd|socket:/)
})
