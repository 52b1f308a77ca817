import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startDaemon } from './_util/daemon.ts'
import { needsRoot } from './_util/namespace.ts'
import { asUser, call, shell, start } from './_util/rpc.ts'
import { makeTmpDir } from './_util/tmp-dir.ts'

test('A8 not as root it says so once, runs commands as itself and refuses other users', async (context) => {
  needsRoot(context)
  await using dir = await makeTmpDir()
  await using daemon = await startDaemon({ uid: 65534, args: ['-run-dir', join(dir.path, 'run')] })
  const own = await shell(daemon.url, 'id -u; echo $HOME $USER; touch /root/x 2>/dev/null || echo refused', {
    cwd: '/',
  })
  expect(String(own.stdout).split('\n')[0]).toBe('65534')
  expect(String(own.stdout)).toContain('refused')
  const named = await shell(daemon.url, 'id -un', { headers: asUser('nobody'), cwd: '/' })
  expect(String(named.stdout)).toBe('nobody\n')
  const other = await start(daemon.url, 'true', { headers: asUser('root') })
  expect((await other.rest()).end.error).toEqual({
    code: 'permission_denied',
    message: "cannot run as user 'root': the daemon does not run as root, but as uid 65534",
  })
  await daemon.stop()
  expect(daemon.stdout().match(/not running as root/g)).toHaveLength(1)
})

test('A8 as a user that no file knows it runs commands as that user, at home where HOME says', async (context) => {
  needsRoot(context)
  await using home = await makeTmpDir()
  await using daemon = await startDaemon({
    uid: 54321,
    env: { HOME: home.path },
    args: ['-run-dir', join(home.path, 'run')],
  })
  const own = await shell(daemon.url, 'id -u; pwd; echo $HOME')
  expect(String(own.stdout)).toBe(`54321\n${home.path}\n${home.path}\n`)
  const named = await shell(daemon.url, 'id -u', { headers: asUser('54321') })
  expect(String(named.stdout)).toBe('54321\n')
  const { body } = await call(daemon.url, 'filesystem.Filesystem/MakeDir', { path: 'made' })
  expect(body).toMatchObject({ entry: { path: join(home.path, 'made'), owner: '54321' } })
})
