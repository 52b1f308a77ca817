import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { startDaemon } from '../_util/daemon.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { asUser, shell, start, transcript } from '../_util/rpc.ts'
import { closeStdin, connect, kill, sendInput } from './calls.ts'
import { outputUntil, startedPid } from './following.ts'
import { alive } from './proc.ts'

const daemon = commonDaemon()
const pty = { cols: 80, rows: 24 }
const headers = asUser('user')

async function printed(command: string, options = {}): Promise<string> {
  const { stdout, pty: output, stderr, end } = await shell(daemon.url, command, { headers, ...options })
  expect({ stderr: stderr.toString(), end }).toMatchObject({ stderr: '', end: { status: 'exit status 0' } })
  return Buffer.concat([stdout, output]).toString().replaceAll('\r', '')
}

describe.each([
  { how: 'pipes', options: {} },
  { how: 'a terminal', options: { pty } },
])('another user, with $how', ({ options }) => {
  test('D7 the command has uid, gid and all groups of its user', async (context) => {
    needsNamespace(context)
    const { stdout } = await promisify(execFile)('su', ['user', '-c', 'id -u; id -g; id -G'])
    const sorted = (text: string) => text.split('\n').map((line) => line.split(' ').sort().join(' '))
    expect(sorted(await printed('id -u; id -g; id -G', options))).toEqual(sorted(stdout))
    expect((await printed('id -G', options)).trim().split(' ').length).toBeGreaterThan(2)
  })

  test('D7 root keeps no more than its own groups either', async (context) => {
    needsNamespace(context)
    const { stdout } = await promisify(execFile)('su', ['root', '-c', 'id -u; id -G'])
    expect(await printed('id -u; id -G', { ...options, headers: asUser('root') })).toBe(stdout)
  })

  test('D10 HOME, USER, LOGNAME and the working directory are its own', async (context) => {
    needsNamespace(context)
    expect(await printed('echo $HOME $USER $LOGNAME; pwd', options)).toBe('/home/user user user\n/home/user\n')
  })

  test('D2 it has no privileges left and cannot get at the daemon', async (context) => {
    needsNamespace(context)
    expect(await printed('grep -E "Cap(Prm|Eff|Amb)" /proc/self/status', options)).toBe(
      'CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n',
    )
    const { end } = await shell(daemon.url, `kill -0 ${daemon.pid} 2>/dev/null`, { headers, ...options })
    expect(end?.exitCode).toBe(1)
  })

  test('D2 it can open its standard descriptors again by name', async (context) => {
    needsNamespace(context)
    expect(await printed('echo again > /dev/stdout; echo over > /proc/self/fd/1', options)).toBe('again\nover\n')
  })
})

test('D65 the terminal belongs to its user', async (context) => {
  needsNamespace(context)
  expect(await printed('stat -c %U "$(tty)"; echo again > "$(tty)"', { pty })).toBe('user\nagain\n')
})

test('D43 the user of a call is that of the start only: every caller may follow, write and kill', async (context) => {
  needsNamespace(context)
  const stream = await start(daemon.url, 'cat', { headers: asUser('root') })
  const pid = await startedPid(stream)
  const follower = await connect(daemon.url, { pid }, { headers })
  await sendInput(daemon.url, { pid }, { stdin: 'hello\n' }, { headers })
  await outputUntil(follower, 'hello\n')
  await kill(daemon.url, { pid })
  await Promise.all([stream.rest(), follower.rest()])
})

test('D60 a session that changed its user is killed to the last', async (context) => {
  needsNamespace(context)
  const stream = await start(daemon.url, '/bin/sh', {
    args: ['-c', 'setpriv --reuid 1001 --regid 1001 --clear-groups sleep 300 & echo $!; wait'],
    headers: asUser('root'),
  })
  const pid = await startedPid(stream)
  const member = Number(await outputUntil(stream, '\n'))
  await kill(daemon.url, { pid })
  await stream.rest()
  await expect.poll(() => alive(member)).toBe(false)
})

describe('a daemon that is not root', () => {
  test('D7 runs every command as its own user, and input, terminals and signals work', async (context) => {
    needsNamespace(context)
    await using own = await startDaemon({ uid: 1000, env: { HOME: '/home/user' } })
    for (const options of [{}, { headers }, { pty }]) {
      const { stdout, stderr, pty: output } = await shell(own.url, 'id -u; cat /proc/self/oom_score_adj; pwd', options)
      expect(stderr.toString()).toBe('')
      expect(Buffer.concat([stdout, output]).toString().replaceAll('\r', '')).toBe('1000\n100\n/home/user\n')
    }
    const cat = await start(own.url, 'cat')
    const pid = await startedPid(cat)
    await sendInput(own.url, { pid }, { stdin: 'hello' })
    await outputUntil(cat, 'hello')
    await closeStdin(own.url, { pid })
    await cat.rest()
    const sleep = await start(own.url, '/bin/sh', { args: ['-c', 'sleep 300 & wait'], pty })
    await kill(own.url, { pid: await startedPid(sleep) })
    expect((await sleep.rest()).messages.at(-1)?.event.end).toMatchObject({ status: 'signal: killed' })
  })

  test.for(['root', 'other'])('D7 refuses user %s with a clear error', async (name, context) => {
    needsNamespace(context)
    await using own = await startDaemon({ uid: 1000, env: { HOME: '/home/user' } })
    const { messages, end } = await (await start(own.url, 'id', { headers: asUser(name) })).rest()
    expect(messages).toEqual([])
    expect(end.error).toEqual({
      code: 'permission_denied',
      message: `cannot run as user '${name}': the daemon does not run as root, but as uid 1000`,
    })
  })

  test('D7 says so in its log, once', async (context) => {
    needsNamespace(context)
    await using own = await startDaemon({ uid: 1000, env: { HOME: '/home/user' } })
    await transcript(await start(own.url, 'true'))
    await transcript(await start(own.url, 'true'))
    await own.stop()
    expect(own.stdout().match(/not running as root/g)).toHaveLength(1)
  })
})
