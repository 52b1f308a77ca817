import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { inNamespace } from '../_util/namespace.ts'
import { RESTRICTIONS, restricted } from '../_util/restricted.ts'
import { asUser, call, open, shell, start } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { kill, sendInput } from './calls.ts'
import { outputUntil, startedPid } from './following.ts'
import { alive } from './proc.ts'

const pty = { cols: 80, rows: 24 }
const headers = asUser('root')

test.skipIf(!inNamespace).each(RESTRICTIONS)(
  'D7 root without %s does everything for its own user, and of the work for others %s (skipped outside of the namespace)',
  { timeout: 60_000 },
  async (_name, others, restrictions) => {
    await using daemon = await startDaemon(restricted(...restrictions))
    expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
    await commandsWork(daemon)
    await filesWork(daemon)
    await killsReachChildren(daemon)
    if (others === 'nothing') await refusesCommands(daemon)
    else await runsCommands(daemon)
    await ownersAreRight(daemon, !restrictions.some((word) => word === 'cap=chown' || word === 'cap=all'))
  },
)

test.skipIf(!inNamespace)(
  'D57 a signal that root may not send is refused (skipped outside of the namespace)',
  async () => {
    await using daemon = await startDaemon(restricted('cap=kill'))
    const stream = await start(daemon.url, '/bin/sh', { args: ['-c', 'echo up; sleep 300'], headers: asUser('user') })
    const pid = await startedPid(stream)
    await outputUntil(stream, 'up')
    const { status, body } = await kill(daemon.url, { pid })
    expect({ status, body }).toMatchObject({ status: 403, body: { code: 'permission_denied' } })
    process.kill(pid, 'SIGKILL')
    expect((await stream.rest()).messages.at(-1)?.event.end?.status).toBe('signal: killed')
  },
)

async function ownersAreRight(daemon: Daemon, mayGive: boolean): Promise<void> {
  await using directory = await makeTmpDir(0o777)
  const [file, made] = [join(directory.path, 'file'), join(directory.path, 'made')]
  const { status } = await upload(daemon, file, 'user')
  const answer = await call(daemon.url, 'filesystem.Filesystem/MakeDir', { path: made }, { headers: asUser('user') })
  const expected = mayGive ? 200 : 403
  expect({ upload: status, makeDir: answer.status }).toEqual({ upload: expected, makeDir: expected })
  if (mayGive) for (const path of [file, made]) expect((await stat(path)).uid).toBe(1000)
  else await expect(stat(made)).rejects.toMatchObject({ code: 'ENOENT' })
}

async function commandsWork({ url }: Daemon): Promise<void> {
  for (const options of [{ headers }, { headers, pty }]) {
    const { stdout, pty: output, end } = await shell(url, 'id -u; echo again >/dev/stdout', options)
    expect(end?.status).toBe('exit status 0')
    expect(Buffer.concat([stdout, output]).toString().replaceAll('\r', '')).toBe('0\nagain\n')
  }
  const shellInTerminal = await start(url, '/bin/sh', { headers, pty })
  const pid = await startedPid(shellInTerminal)
  await sendInput(url, { pid }, { pty: 'echo a$((1))b; exit\n' })
  await outputUntil(shellInTerminal, 'a1b')
  expect((await shellInTerminal.rest()).messages.at(-1)?.event.end?.status).toBe('exit status 0')
}

async function filesWork(daemon: Daemon): Promise<void> {
  await using directory = await makeTmpDir()
  const watched = await open<{ filesystem?: { name: string } }>(
    daemon.url,
    'filesystem.Filesystem/WatchDir',
    { path: directory.path },
    { headers },
  )
  await watched.next()
  const path = join(directory.path, 'file')
  expect((await upload(daemon, path, 'root')).status).toBe(200)
  expect((await watched.next()).filesystem?.name).toBe('file')
  watched.close()
  expect(await readFile(path, 'utf8')).toBe('content')
  const { body } = await call(daemon.url, 'filesystem.Filesystem/ListDir', { path: directory.path }, { headers })
  expect(body).toMatchObject({ entries: [{ name: 'file', size: '7', owner: 'root' }] })
  const download = await sendWhole(`${daemon.url}/files?username=root&path=${path}`)
  expect(download.text).toBe('content')
}

async function killsReachChildren({ url }: Daemon): Promise<void> {
  for (const signal of ['SIGNAL_SIGTERM', 'SIGNAL_SIGKILL']) {
    const stream = await start(url, '/bin/sh', { headers, args: ['-c', 'sleep 300 & echo $!; wait'] })
    const pid = await startedPid(stream)
    const child = Number(await outputUntil(stream, '\n'))
    const { status } = await call(url, 'process.Process/SendSignal', { process: { pid }, signal })
    expect(status).toBe(200)
    await stream.rest()
    await expect.poll(async () => !(await alive(child))).toBe(true)
  }
}

async function runsCommands({ url }: Daemon): Promise<void> {
  for (const options of [{}, { pty }]) {
    const { stdout, pty: output, end } = await shell(url, 'id -u', { headers: asUser('user'), ...options })
    expect(end?.status).toBe('exit status 0')
    expect(Buffer.concat([stdout, output]).toString().trim()).toBe('1000')
  }
  const sleep = await start(url, 'sleep', { args: ['300'], headers: asUser('user') })
  expect((await kill(url, { pid: await startedPid(sleep) })).status).toBe(200)
  expect((await sleep.rest()).messages.at(-1)?.event.end?.status).toBe('signal: killed')
}

async function refusesCommands({ url }: Daemon): Promise<void> {
  for (const options of [{}, { pty }]) {
    const { messages, end } = await (await start(url, 'id', { headers: asUser('user'), ...options })).rest()
    expect(messages).toEqual([])
    expect(end.error).toMatchObject({
      code: 'permission_denied',
      message: expect.stringMatching(/^cannot run as user 'user': the daemon may not change to other users \(.+\)$/),
    })
  }
}

function upload({ url }: Daemon, path: string, username: string) {
  return sendWhole(`${url}/files?${new URLSearchParams({ path, username })}`, {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream' },
    body: 'content',
  })
}
