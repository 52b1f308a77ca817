import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, type TestContext, test } from 'vitest'
import { serviceGroup } from '../../src/cgroups/service-group.ts'
import { spawn } from '../../src/native/index.ts'
import { endFamily, livingOf } from '../../src/process/family.ts'
import { type CgroupRoot, makeCgroupRoot } from '../_util/cgroup.ts'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { needsCgroups } from '../_util/namespace.ts'
import { call } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { plainSpec } from '../native/run-process.ts'

/** Writes its pid to a file and stays. */
const stay = (name: string) => `sh -c 'echo $$ > ${name}.new; mv ${name}.new ${name}; exec sleep 1000'`

/** Has left the session, the parent and the variables of the start command; and one that ignores SIGHUP. */
const LEFT = `(setsid env -i PATH="$PATH" ${stay('stray')} &); nohup ${stay('nohup')} > log 2>&1 &`

async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
  return stat !== '' && !stat.includes(') Z')
}

interface Place {
  readonly root: CgroupRoot
  readonly dir: string
  start(args?: readonly string[]): Promise<Daemon>
  /** The pids that the scripts wrote into those files. */
  pids(...names: string[]): Promise<number[]>
  /** The cgroups of services, by their path below the root. */
  groups(): string[]
}

/** A root of cgroups and a directory for daemons one after the other. */
async function makePlace(context: TestContext, script: string): Promise<Place> {
  needsCgroups(context)
  const root = makeCgroupRoot()
  const dir = await makeTmpDir()
  onTestFinished(async () => {
    await root[Symbol.asyncDispose]()
    await dir[Symbol.asyncDispose]()
  })
  const settings = ['-cgroup-root', root.path, '-start-workdir', dir.path, '-start-env', `HOME=${dir.path}`]
  const commands = ['-start-cmd', script, '-ready-cmd', '[ -e up ]', '-run-dir', join(dir.path, 'run')]
  const pidIn = async (name: string) => {
    const read = async () => Number(await readFile(join(dir.path, name), 'utf8').catch(() => ''))
    await expect.poll(read, { timeout: 10_000 }).toBeGreaterThan(0)
    return read()
  }
  return {
    root,
    dir: dir.path,
    start: (args = []) => startDaemon({ args: [...settings, ...commands, ...args] }),
    pids: (...names) => Promise.all(names.map(pidIn)),
    groups: () => root.groups().filter((group) => group.includes('service.')),
  }
}

async function becomesReady({ url }: Daemon): Promise<void> {
  await expect.poll(async () => (await sendWhole(`${url}/ready`)).status, { timeout: 10_000 }).toBe(204)
}

async function stop({ url }: Daemon): Promise<number> {
  return (await call(url, 'supervisor.Supervisor/Stop', {})).status
}

test('a service is in a cgroup of its own, which Stop ends with all that is in it, and removes', async (context) => {
  const place = await makePlace(context, `echo $$ > leader; ${LEFT} touch up; exec sleep 1000`)
  await using daemon = await place.start()
  await becomesReady(daemon)
  const pids = await place.pids('leader', 'stray', 'nohup')
  const [group = ''] = place.groups()
  expect(place.groups()).toEqual([expect.stringMatching(/^user\/service\.start\.[0-9a-f-]{36}$/)])
  const members = place.root.read(`${group}/cgroup.procs`).split('\n').map(Number)
  expect(members).toEqual(expect.arrayContaining(pids))
  expect(await stop(daemon)).toBe(200)
  for (const pid of pids) expect(await isAlive(pid)).toBe(false)
  expect(place.groups()).toEqual([])
})

test('what a service left in its cgroup is ended before it is started again, in another one', async (context) => {
  const place = await makePlace(context, `rm -f stray nohup; ${LEFT} touch up; echo $$ > leader; exec sleep 1000`)
  await using daemon = await place.start(['-restart', 'on-failure'])
  await becomesReady(daemon)
  const [stray = 0, leader = 0] = await place.pids('stray', 'leader')
  const before = place.groups()
  process.kill(leader, 'SIGKILL')
  await expect.poll(() => isAlive(stray), { timeout: 10_000 }).toBe(false)
  await expect.poll(async () => (await place.pids('leader'))[0], { timeout: 10_000 }).not.toBe(leader)
  await expect.poll(() => place.groups()).toHaveLength(1)
  expect(place.groups()).not.toEqual(before)
})

test('the cgroup of a service that ended by itself and left nothing is removed', async (context) => {
  const place = await makePlace(context, 'touch up')
  await using daemon = await place.start()
  await becomesReady(daemon)
  await expect.poll(place.groups).toEqual([])
})

test.for([
  ['lives', false],
  ['has gone meanwhile', true],
] as const)(
  'a daemon that is started anew finds the cgroup of a service whose leader %s',
  async ([, gone], context) => {
    const place = await makePlace(context, `echo $$ > leader; ${LEFT} touch up; exec sleep 1000`)
    const first = await place.start(['-kill-on-exit=false'])
    await becomesReady(first)
    const [leader = 0, stray = 0] = await place.pids('leader', 'stray')
    const record = join(place.dir, 'run/start.service.json')
    await expect.poll(() => readFile(record, 'utf8').catch(() => '')).toContain(`"leader":{"pid":${leader},`)
    process.kill(first.launched, 'SIGKILL')
    await first.ended
    if (gone) process.kill(leader, 'SIGKILL')
    const [group] = place.groups()
    await using second = await place.start()
    if (!gone) {
      await becomesReady(second)
      expect(place.groups()).toEqual([group])
      expect(await stop(second)).toBe(200)
      expect(place.groups()).toEqual([])
    }
    await expect.poll(() => isAlive(stray), { timeout: 10_000 }).toBe(false)
    await expect.poll(place.groups).not.toContain(group)
  },
)

test('a service freezes and thaws with the other commands, and Stop ends a frozen one', async (context) => {
  const place = await makePlace(context, `${LEFT} touch up; exec sleep 1000`)
  await using daemon = await place.start()
  await becomesReady(daemon)
  const pids = await place.pids('stray', 'nohup')
  const [group] = place.groups()
  const post = async (path: string) => (await sendWhole(`${daemon.url}${path}`, { method: 'POST', body: '' })).status
  expect(await post('/freeze?maxWaitMs=10000')).toBe(200)
  expect(place.root.read(`${group}/cgroup.events`)).toContain('frozen 1')
  expect(await post('/unfreeze')).toBe(204)
  await expect.poll(() => place.root.read(`${group}/cgroup.events`)).toContain('frozen 0')
  expect(await post('/freeze?maxWaitMs=10000')).toBe(200)
  expect(await stop(daemon)).toBe(200)
  for (const pid of pids) expect(await isAlive(pid)).toBe(false)
}, 30_000)

test('cgroups that services made below their own are ended and removed as well', async (context) => {
  const inner = 'd=/sys/fs/cgroup$(sed -n "s/^0:://p" /proc/self/cgroup)/inner; mkdir $d'
  const place = await makePlace(context, `${inner}; (setsid ${stay('deep')} &); sleep 0.1; touch up; exec sleep 1000`)
  await using daemon = await place.start(['-start-user', 'root'])
  await becomesReady(daemon)
  const [deep = 0] = await place.pids('deep')
  const [group = ''] = place.groups()
  place.root.write(`${group}/inner/cgroup.procs`, String(deep))
  expect(await stop(daemon)).toBe(200)
  expect(await isAlive(deep)).toBe(false)
  expect(place.groups()).toEqual([])
})

test('where the kernel does not kill the cgroup its members are killed one by one', async (context) => {
  needsCgroups(context)
  await using root = makeCgroupRoot()
  await mkdir(`${root.path}/user`)
  const group = serviceGroup(`${root.path}/user`, 'start')
  await mkdir(`${root.path}/user/service.start`)
  await using directory = await group.open()
  const script = 'trap "" TERM HUP; sleep 1000 & while :; do sleep 1; done'
  const { pid } = await spawn({ ...plainSpec, file: '/bin/sh', args: ['-c', script], cgroup: directory.fd })
  const relatives = { list: async () => livingOf(await group.members()), kill: async () => false }
  await expect.poll(group.members).toContain(pid)
  await endFamily(await relatives.list(), relatives, 0)
  expect(await group.members()).toEqual([])
})
