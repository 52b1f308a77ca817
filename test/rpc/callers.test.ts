import { appendFile, chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { startDaemon } from '../_util/daemon.ts'
import { needsNamespace, needsRoot } from '../_util/namespace.ts'
import { asUser, call, open, type ProcessMessage, shell, start } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const daemon = commonDaemon()

test('A38 the Basic username is the user of the call, whatever the password', async (context) => {
  needsRoot(context)
  const authorization = `Basic ${Buffer.from('nobody:any:thing').toString('base64')}`
  const named = await shell(daemon.url, 'id -un', { headers: { authorization }, cwd: '/' })
  expect(String(named.stdout)).toBe('nobody\n')
  const bearer = await shell(daemon.url, 'id -un', { headers: { authorization: 'Bearer nobody' }, cwd: '/' })
  expect(String(bearer.stdout)).toBe('root\n')
})

test('A40 a default user that does not exist is reported by the calls that need one, and only by them', async () => {
  await using other = await startDaemon({ args: ['-default-user', 'ghost'] })
  const refused = { code: 'unauthenticated', message: "invalid default user: 'ghost'" }
  const stat = await call(other.url, 'filesystem.Filesystem/Stat', { path: '/' })
  expect({ status: stat.status, body: stat.body }).toEqual({ status: 401, body: refused })
  expect((await (await start(other.url, 'true')).rest()).end.error).toEqual(refused)
  expect((await call(other.url, 'process.Process/List', {})).status).toBe(200)
})

test('A41 a user is known from the moment it stands in /etc/passwd', async (context) => {
  needsNamespace(context)
  const headers = asUser('newcomer')
  const before = await start(daemon.url, 'true', { headers })
  expect((await before.rest()).end.error?.code).toBe('unauthenticated')
  await appendFile('/etc/passwd', 'newcomer:x:4321:4321::/tmp:/bin/sh\n')
  await appendFile('/etc/group', 'newcomers:x:4399:newcomer\n')
  const after = await shell(daemon.url, 'id -u; id -G; echo $HOME', { headers })
  expect(String(after.stdout)).toBe('4321\n4321 4399\n/tmp\n')
})

test('A42 every caller may act on the processes of others', async (context) => {
  needsRoot(context)
  const { url } = daemon
  const cat = await start(url, 'cat', { headers: asUser('root') })
  const process = { pid: (await cat.next()).event.start?.pid }
  const headers = asUser('nobody')
  const status = async (method: string, message: Record<string, unknown>) =>
    (await call(url, `process.Process/${method}`, { process, ...message }, { headers })).status
  const other = await open<ProcessMessage>(url, 'process.Process/Connect', { process }, { headers })
  expect(await status('List', {})).toBe(200)
  expect(await status('SendInput', { input: { stdin: 'eA==' } })).toBe(200)
  expect(await status('Update', {})).toBe(200)
  expect(await status('CloseStdin', {})).toBe(200)
  expect((await other.rest()).messages.at(-1)?.event.end?.status).toBe('exit status 0')
  const sleep = await start(url, 'sleep', { args: ['1000'], headers: asUser('root') })
  const target = { process: { pid: (await sleep.next()).event.start?.pid } }
  expect(await status('SendSignal', { ...target, signal: 15 })).toBe(200)
  expect((await sleep.rest()).messages.at(-1)?.event.end?.status).toBe('signal: terminated')
})

test('A43 the filesystem calls act as root for every user, who decides on home and owner', async (context) => {
  needsRoot(context)
  await using dir = await makeTmpDir()
  const secret = `${dir.path}/secret`
  await mkdir(secret)
  await writeFile(`${secret}/file`, 'x')
  await chmod(secret, 0o700)
  const as = (method: string, message: unknown) =>
    call(daemon.url, `filesystem.Filesystem/${method}`, message, { headers: asUser('nobody') })
  expect((await as('ListDir', { path: secret })).body).toMatchObject({ entries: [{ name: 'file', owner: 'root' }] })
  expect((await as('MakeDir', { path: `${secret}/made` })).body).toMatchObject({ entry: { owner: 'nobody' } })
  expect((await as('Remove', { path: `${secret}/file` })).status).toBe(200)
  await expect(readFile(`${secret}/file`)).rejects.toThrow('ENOENT')
})
