import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { beforeEach, expect, test } from 'vitest'
import { makeCgroupRoot } from '../_util/cgroup.ts'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { needsCgroups, needsNamespace } from '../_util/namespace.ts'
import { asUser, call, shell } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'

beforeEach(needsNamespace)

const daemon = sharedDaemon()

const headers = { ...asUser('user'), 'x-access-token': 'secret' }

test('no user reaches the keeper, what it keeps, or the way to it', async () => {
  await using own = await startDaemon()
  const body = JSON.stringify({ accessToken: 'secret' })
  expect((await sendWhole(`${own.url}/init`, { method: 'POST', body })).status).toBe(204)
  for (const pid of [own.launched, own.pid]) {
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
      const { end, stdout } = await shell(own.url, attempt, { headers })
      expect([attempt, end?.exitCode === 0, String(stdout)]).toEqual([attempt, false, ''])
    }
  }
  expect((await sendWhole(`${own.url}/health`)).status).toBe(204)
})

test('no user reads the arguments of the keeper or the daemon, and a daemon that it starts again has them', async () => {
  const args = ['-start-cmd', 'sleep 60', '-start-env', 'SECRET=hidden-from-users']
  await using own = await startDaemon({ args, restarts: true })
  const linesOf = async (user: string) => {
    const script = `for pid in ${own.launched} ${own.pid}; do tr '\\0' ' ' </proc/$pid/cmdline; echo; done; ps axww -o args`
    return String((await shell(own.url, script, { headers: asUser(user) })).stdout)
  }
  const expectHidden = async () => {
    for (const user of ['user', 'root']) {
      const lines = await linesOf(user)
      expect(lines).toMatch(/^\S*envd-keeper *\nenvd *\n/)
      expect(lines).not.toContain('hidden-from-users')
    }
  }
  await expectHidden()
  const first = own.pid
  process.kill(first, 'SIGKILL')
  // The port is an argument as well.
  await expect.poll(async () => (await sendWhole(`${own.url}/health`).catch(() => undefined))?.status).toBe(204)
  expect(own.pid).not.toBe(first)
  await expectHidden()
})

test('no user ends, stops or traces either of the two, all processes at once neither', async () => {
  const { url, launched, pid } = daemon
  const attempts = [
    'kill -KILL -1',
    'kill -STOP -1',
    ...[launched, pid].flatMap((each) => [
      `kill -STOP -${each}`,
      `kill -KILL -${each}`,
      `python3 -c "import ctypes; libc = ctypes.CDLL(None); exit(libc.ptrace(0x4206, ${each}, 0, 0) != 0)"`,
      `dd if=/proc/${each}/mem bs=1 count=1 skip=4194304`,
      `readlink /proc/${each}/exe`,
    ]),
  ]
  for (const attempt of attempts) {
    // A signal for all that the user may signal does not reach the shell that sends it, but all others of that user.
    const ofAll = attempt.endsWith(' -1')
    const script = ofAll ? `sleep 100 & ${attempt}; kill -KILL $!; false` : attempt
    // As other tests run daemons of `user` at the same time.
    const { end } = await shell(url, script, { headers: asUser(ofAll ? 'games' : 'user') })
    expect([attempt, end?.exitCode === 0]).toEqual([attempt, false])
    expect([attempt, daemon.pid, (await sendWhole(`${url}/health`)).status]).toEqual([attempt, pid, 204])
  }
}, 60_000)

test.for(['user', 'root'])(
  'a command of %s that ends all of its process group or its cgroup does not end the two',
  async (user, context) => {
    needsCgroups(context)
    // Linux 6.18 ends whatever is started in a cgroup that was killed once, so no other test may have this one.
    await using root = makeCgroupRoot()
    await using own = await startDaemon({ args: ['-cgroup-root', root.path] })
    const { url, pid } = own
    const group = '/sys/fs/cgroup$(sed -n "s/^0:://p" /proc/self/cgroup)/cgroup.kill'
    for (const attempt of ['kill -KILL 0', `echo 1 >${group}`]) {
      const { end } = await shell(url, `${attempt}; exit 3`, { headers: asUser(user) })
      // The file is root's.
      const killed = attempt.startsWith('kill') || user === 'root'
      expect([attempt, end?.status]).toEqual([attempt, killed ? 'signal: killed' : 'exit status 3'])
      expect([attempt, own.pid, (await sendWhole(`${url}/health`)).status]).toEqual([attempt, pid, 204])
    }
  },
)

test('a user who ends whoever has the port open ends neither', async (context) => {
  const { stdout } = await promisify(execFile)('sh', ['-c', 'command -v fuser || true'])
  if (stdout === '') context.skip('needs fuser')
  const { url, pid, port } = daemon
  await shell(url, `fuser -k ${port}/tcp`, { headers: asUser('user') })
  expect([daemon.pid, (await sendWhole(`${url}/health`)).status]).toEqual([pid, 204])
})

test('the memory of records is sealed', async () => {
  const script = `import fcntl, os
for fd in os.listdir('/proc/${daemon.launched}/fd'):
  path = '/proc/${daemon.launched}/fd/' + fd
  if 'memfd:' not in os.readlink(path): continue
  own = os.open(path, os.O_RDONLY)
  seals = fcntl.fcntl(own, 1034)
  print('output' if os.fstat(own).st_size > 1 << 24 else 'record', seals & 6 == 6, seals & 8 == 8)`
  const { stdout } = await promisify(execFile)('python3', ['-c', script])
  const lines = new Set(stdout.trim().split('\n'))
  // Against another size; and against other bytes, but for the memory that output comes into.
  expect(lines).toEqual(new Set(['output True False', 'record True True']))
})

test('no path of the file calls leads to the entries of the keeper in /proc, root neither', async () => {
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
  const { stdout } = await shell(daemon.url, 'env; ls -l /proc/self/fd')
  expect(String(stdout)).not.toMatch(/KEEPER|memfd|socket:/)
})
