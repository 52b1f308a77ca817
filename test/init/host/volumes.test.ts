import { execFile } from 'node:child_process'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, type TestContext, test } from 'vitest'
import { createHostCommands } from '../../../src/init/host/commands.ts'
import { createVolumes, type Volumes } from '../../../src/init/host/volumes.ts'
import { NEVER } from '../../../src/lib/never.ts'
import { needsNamespace } from '../../_util/namespace.ts'
import { recordingLog } from '../../_util/recording-log.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'
import { type MountPrograms, makeMountPrograms } from './mount-programs.ts'

const run = promisify(execFile)

const OPTIONS =
  'fg,hard,sync,rsize=1048576,wsize=1048576,mountproto=tcp,mountport=2049,proto=tcp,port=2049,nfsvers=3,noacl,noac,lookupcache=none'

interface Machine extends AsyncDisposable {
  readonly programs: MountPrograms
  /** The directory below which volumes are mounted. */
  readonly root: string
  at(name: string): string
  /** As after a start of the daemon. */
  restarted(options?: { readonly budget?: number; readonly shutdown?: AbortSignal }): Volumes
  /** Target and place of what is mounted, innermost last. */
  mounted(): Promise<string[]>
}

async function makeMachine(context: TestContext): Promise<Machine> {
  needsNamespace(context)
  const directory = await makeTmpDir()
  const programs = await makeMountPrograms(directory)
  const root = join(directory.path, 'mnt')
  await mkdir(root)
  const commands = createHostCommands(programs.path)
  const mounts = async () => {
    const table = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' '))
    return table.flatMap(([source, target = '']) => (target.startsWith(root) ? [`${source} ${target}`] : []))
  }
  return {
    programs,
    root,
    at: (name) => join(root, name),
    restarted: (options) =>
      createVolumes({
        commands,
        log: recordingLog().log,
        shutdown: NEVER,
        // A busy machine is no matter here.
        budget: 60_000,
        ...options,
      }),
    mounted: async () => (await mounts()).map((line) => line.replaceAll(`${root}/`, '')),
    [Symbol.asyncDispose]: async () => {
      for (const line of (await mounts()).reverse())
        await run('umount', ['--lazy', (line.split(' ')[1] ?? '').replaceAll('\\040', ' ')])
      await directory[Symbol.asyncDispose]()
    },
  }
}

test('F19 a volume is looked for, its directory made, and mounted with exactly the options of the platform', async (context) => {
  await using machine = await makeMachine(context)
  const path = machine.at('a/b c')
  await machine.restarted().mount([{ nfsTarget: '10.0.0.1:/vol 1', path }], 'one')
  expect(await machine.programs.calls()).toEqual([
    ['findmnt', '--noheadings', '--output', 'TARGET', '--mountpoint', path],
    ['mount', '-v', '-t', 'nfs', '-o', OPTIONS, '--', '10.0.0.1:/vol 1', path],
  ])
  expect(await machine.mounted()).toEqual(['10.0.0.1:/vol\\0401 a/b\\040c'])
  expect((await stat(machine.at('a'))).mode & 0o777).toBe(0o755)
})

test('F19 a volume stays mounted for its lifecycle, and is mounted anew for another one and after a restart', async (context) => {
  await using machine = await makeMachine(context)
  const volumes = machine.restarted()
  const request = (nfsTarget: string) => [{ nfsTarget, path: machine.at('v') }]
  await volumes.mount(request('s:/1'), 'one')
  const calls = (await machine.programs.calls()).length
  await volumes.mount(request('s:/1'), 'one')
  await volumes.mount([], 'one')
  expect(await machine.programs.calls()).toHaveLength(calls)
  expect(await machine.mounted()).toEqual(['s:/1 v'])
  await volumes.mount(request('s:/2'), 'two')
  expect(await machine.mounted()).toEqual(['s:/2 v'])
  await machine.restarted().mount(request('s:/3'), 'two')
  expect(await machine.mounted()).toEqual(['s:/3 v'])
  const commands = (await machine.programs.calls()).slice(calls).map(([name, option]) => `${name} ${option}`)
  const anew = ['findmnt --noheadings', 'umount --force', 'mount -v']
  expect(commands).toEqual([...anew, ...anew])
})

test('F19 a volume in use is unmounted lazily', async (context) => {
  await using machine = await makeMachine(context)
  const request = [{ nfsTarget: 's:/1', path: machine.at('v') }]
  await machine.restarted().mount(request, 'one')
  const user = execFile('sleep', ['1000'], { cwd: machine.at('v') })
  context.onTestFinished(() => void user.kill())
  await machine.restarted().mount([{ nfsTarget: 's:/2', path: machine.at('v') }], 'one')
  expect(await machine.mounted()).toEqual(['s:/2 v'])
  expect((await machine.programs.calls()).map(([name, option]) => `${name} ${option}`)).toContain('umount --lazy')
})

test('F19 a volume whose server is gone is unmounted lazily, when neither findmnt nor umount comes back', async (context) => {
  await using machine = await makeMachine(context)
  const volumes = machine.restarted()
  await volumes.mount([{ nfsTarget: 's:/1', path: machine.at('v') }], 'one')
  await machine.programs.loseServer()
  await volumes.mount([{ nfsTarget: 's:/2', path: machine.at('v') }], 'two')
  expect((await machine.programs.calls()).map(([name, option]) => `${name} ${option}`)).toContain('umount --lazy')
  // Nor is it known whether anything is mounted on another one.
  await volumes.mount([{ nfsTarget: 's:/3', path: machine.at('w') }], 'two')
  expect(await machine.mounted()).toEqual(['s:/2 v', 's:/3 w'])
})

test('F19 all volumes are mounted at the same time, one inside another after it', async (context) => {
  await using machine = await makeMachine(context)
  const apart = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => ({ nfsTarget: `meet:6/${name}`, path: machine.at(name) }))
  const inside = { nfsTarget: 's:/in', path: machine.at('a/x/y') }
  await machine.restarted().mount([inside, ...apart], 'one')
  const mounted = await machine.mounted()
  expect([...mounted].sort()).toEqual([
    ...apart.map((_, index) => `meet:6/${'abcdef'[index]} ${'abcdef'[index]}`),
    's:/in a/x/y',
  ])
  expect(mounted.indexOf('s:/in a/x/y')).toBeGreaterThan(mounted.indexOf('meet:6/a a'))
  await stat(machine.at('a/x/y'))
})

test('F19 a volume that fails is reported with the output of the command, and another try mounts only what is missing', async (context) => {
  await using machine = await makeMachine(context)
  const volumes = machine.restarted()
  const good = { nfsTarget: 's:/1', path: machine.at('good') }
  const bad = (nfsTarget: string) => ({ nfsTarget, path: machine.at('bad') })
  await expect(volumes.mount([bad('fail:/1'), good], 'one')).rejects.toMatchObject({
    kind: 'invalid_argument',
    message: `failed to setup NFS volumes: ${machine.at('bad')}: mount: exit status 32: mount.nfs: access denied by server while mounting fail:/1`,
  })
  expect(await machine.mounted()).toEqual(['s:/1 good'])
  const calls = (await machine.programs.calls()).length
  await volumes.mount([bad('s:/2'), good], 'one')
  expect((await machine.mounted()).sort()).toEqual(['s:/1 good', 's:/2 bad'])
  expect((await machine.programs.calls()).slice(calls).map(([name]) => name)).toEqual(['findmnt', 'mount'])
})

test('F19 a volume that comes late does not hide one inside it', async (context) => {
  await using machine = await makeMachine(context)
  const volumes = machine.restarted()
  const [inner, aside] = [
    { nfsTarget: 's:/in', path: machine.at('a/x') },
    { nfsTarget: 's:/b', path: machine.at('ab') },
  ]
  const outer = (nfsTarget: string) => ({ nfsTarget, path: machine.at('a') })
  await expect(volumes.mount([inner, outer('fail:/1'), aside], 'one')).rejects.toThrow('access denied')
  await volumes.mount([inner, outer('s:/out'), aside], 'one')
  const devices = await Promise.all(['.', 'a', 'a/x', 'ab'].map(async (name) => (await stat(machine.at(name))).dev))
  expect(new Set(devices).size).toBe(4)
  const mounts = (await machine.programs.calls()).filter(([name]) => name === 'mount').map((call) => call.at(-1))
  expect(mounts.filter((path) => path === aside.path)).toHaveLength(1)
})

test('F19 N33 what hangs is killed, with what it has started, when the time of all volumes is over, and the others stay', async (context) => {
  await using machine = await makeMachine(context)
  const volumes = machine.restarted({ budget: 3000 })
  const request = [
    { nfsTarget: 'hang:/1', path: machine.at('h') },
    { nfsTarget: 'hang:/2', path: machine.at('i') },
    { nfsTarget: 's:/1', path: machine.at('v') },
  ]
  const overdue = (name: string, target: string) =>
    `${machine.at(name)}: mount: not done after [23](\\.\\d)? s: mount.nfs: trying ${target}`
  await expect(volumes.mount(request, 'one')).rejects.toThrow(
    new RegExp(`^failed to setup NFS volumes: ${overdue('h', 'hang:/1')}; ${overdue('i', 'hang:/2')}$`),
  )
  expect(await machine.mounted()).toEqual(['s:/1 v'])
  await expect.poll(async () => (await run('ps', ['-eo', 'args'])).stdout).not.toContain(`hang:/1 ${machine.at('h')}`)
})

test('F19 the end of the daemon ends what is being mounted', async (context) => {
  await using machine = await makeMachine(context)
  const stopping = new AbortController()
  const mounting = machine
    .restarted({ shutdown: stopping.signal })
    .mount([{ nfsTarget: 'hang:/1', path: machine.at('h') }], 'one')
  await expect.poll(async () => (await machine.programs.calls()).length).toBe(2)
  stopping.abort(new Error('stopping'))
  await expect(mounting).rejects.toMatchObject({ kind: 'invalid_argument' })
})

test('F19 requests for the same volumes wait for each other', async (context) => {
  await using machine = await makeMachine(context)
  const volumes = machine.restarted()
  const request = Array.from({ length: 4 }, (_, index) => ({ nfsTarget: `s:/${index}`, path: machine.at(`v${index}`) }))
  await Promise.all(Array.from({ length: 10 }, () => volumes.mount(request, 'one')))
  expect((await machine.mounted()).sort()).toEqual(['s:/0 v0', 's:/1 v1', 's:/2 v2', 's:/3 v3'])
  expect(await machine.programs.calls()).toHaveLength(8)
})

test.each([
  ['a relative path', { nfsTarget: 's:/1', path: 'mnt' }],
  ['a path that climbs', { nfsTarget: 's:/1', path: '/mnt/../etc' }],
  ['the root directory', { nfsTarget: 's:/1', path: '//' }],
  ['an empty path', { nfsTarget: 's:/1', path: '' }],
  ['a path with NUL', { nfsTarget: 's:/1', path: '/mnt/a\0b' }],
  ['no target', { nfsTarget: '', path: '/mnt/a' }],
  ['a target that is an option', { nfsTarget: '-oexec', path: '/mnt/a' }],
  ['a target with NUL', { nfsTarget: 's:/\0', path: '/mnt/a' }],
])('F19 what no tool is to be asked for is refused before anything is touched: %s', async (_, volume) => {
  await using directory = await makeTmpDir()
  const programs = await makeMountPrograms(directory)
  const volumes = createVolumes({
    commands: createHostCommands(programs.path),
    log: recordingLog().log,
    shutdown: NEVER,
  })
  const refusal = /^failed to setup NFS volumes: /
  const request = [{ nfsTarget: 's:/1', path: '/mnt/first' }, volume]
  expect(() => volumes.check(request)).toThrow(refusal)
  await expect(volumes.mount(request, 'one')).rejects.toMatchObject({
    kind: 'invalid_argument',
    message: expect.stringMatching(refusal),
  })
  expect(() =>
    volumes.check([request[0], { nfsTarget: 's:/2', path: '/mnt/first/' }].filter((one) => one !== undefined)),
  ).toThrow('failed to setup NFS volumes: two volumes have the same path')
  expect(await programs.calls()).toEqual([])
})

test('F19 a machine without the programs says which one is missing; a path that is no directory is reported', async (context) => {
  await using machine = await makeMachine(context)
  const bare = createVolumes({
    commands: createHostCommands('/nowhere'),
    log: recordingLog().log,
    shutdown: NEVER,
  })
  const request = [{ nfsTarget: 's:/1', path: machine.at('file') }]
  await expect(bare.mount(request, 'one')).rejects.toThrow('/file: findmnt: command not found')
  await writeFile(machine.at('file'), '')
  await expect(machine.restarted().mount(request, 'one')).rejects.toThrow('/file: file exists')
})

test('F19 the real mount(8) is asked, and what it says is passed on', async (context) => {
  await using machine = await makeMachine(context)
  const volumes = createVolumes({
    commands: createHostCommands('/usr/sbin:/usr/bin:/sbin:/bin'),
    log: recordingLog().log,
    shutdown: NEVER,
  })
  const mounting = volumes.mount([{ nfsTarget: '127.0.0.1:/volume', path: machine.at('v') }], 'one')
  await expect(mounting).rejects.toThrow(
    /^failed to setup NFS volumes: \S+\/v: mount: (exit status \d+: .*mount|not done)/,
  )
  expect(await machine.mounted()).toEqual([])
})
