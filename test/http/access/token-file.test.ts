import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startDaemon } from '../../_util/daemon.ts'
import { sendWhole } from '../../_util/http.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'

test('the token of a file is set before the port is open', async () => {
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'token')
  await writeFile(path, 'secret\n', { mode: 0o600 })
  await using daemon = await startDaemon({ env: { ENVD_ACCESS_TOKEN_FILE: path } })
  expect((await sendWhole(`${daemon.url}/envs`)).status).toBe(401)
  const given = await sendWhole(`${daemon.url}/envs`, { headers: { 'x-access-token': 'secret' } })
  expect(given.status).toBe(200)
  expect(given.text).not.toContain('ACCESS_TOKEN')
  const takeOver = { method: 'POST', body: '{"accessToken":"evil"}' }
  expect((await sendWhole(`${daemon.url}/init`, takeOver)).status).toBe(401)
  await daemon.stop()
  expect(daemon.stdout() + daemon.stderr()).not.toContain('secret')

  await chmod(path, 0o644)
  await using open = await startDaemon({ args: ['-access-token-file', path] })
  await open.stop()
  expect(open.stdout()).toContain('other users may read the file of the access token')
})

const NO_TOKENS = { 'no token': '', 'two words': 'a b', 'a backslash': 'a\\b', 'too much': 'x'.repeat(5000) }

test.each(Object.entries(NO_TOKENS))('no daemon starts with a token file that holds %s', async (_, text) => {
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'token')
  await writeFile(path, text, { mode: 0o600 })
  const start = startDaemon({ args: ['-access-token-file', path] })
  await expect(start).rejects.toThrow(/ended with 1 before it listened[\s\S]*holds no access token/)
})

test('no daemon starts without the token file that it was given', async () => {
  await expect(startDaemon({ args: ['-access-token-file', '/nowhere'] })).rejects.toThrow(/cannot be read: ENOENT/)
})

test('a port that other machines reach without a token is warned of', async () => {
  const open = ['-address', '0.0.0.0']
  await using daemon = await startDaemon({ args: open })
  await expect.poll(() => daemon.stdout()).toContain('NO ACCESS TOKEN')
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'token')
  await writeFile(path, 'secret', { mode: 0o600 })
  for (const args of [[], [...open, '-access-token-file', path], [...open, '-isnotfc=false']]) {
    await using quiet = await startDaemon({ args })
    expect((await sendWhole(`http://127.0.0.1:${quiet.port}/health`)).status).toBe(204)
    await quiet.stop()
    expect(quiet.stdout()).not.toContain('NO ACCESS TOKEN')
  }
})
