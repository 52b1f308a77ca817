import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { TestContext } from 'vitest'
import { type CgroupRoot, makeCgroupRoot } from '../_util/cgroup.ts'
import { daemonPid } from '../_util/daemon-process.ts'
import { makeLoopDisk, needsLoopDisks } from '../_util/loop-disk.ts'
import { needsCgroups } from '../_util/namespace.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { installOnDisk, takesWrites } from '../cgroups/freeze/frozen-daemon.ts'
import { certificate } from '../init/host/bundle.ts'
import { type FakeMmds, startFakeMmds } from '../init/mmds/fake-mmds.ts'
import { type Collector, startCollector } from '../logs/collector.ts'
import { ON_MACHINE } from './processors.ts'

/**
 * What the daemon has in a microVM: a disk of its own as root, a network with the addresses of the platform, a metadata
 * service and a log collector on the host's side, cgroups in which it is a service. Disposing ends everything in it,
 * and fails if the daemon did not end well.
 */
export interface Machine extends AsyncDisposable {
  readonly url: string
  /** Of the daemon that runs now. */
  readonly pid: number
  readonly mmds: FakeMmds
  readonly collector: Collector
  readonly cgroups: CgroupRoot
  /** Its root directory as the test sees it. */
  readonly root: string
  /** Starts the daemon as its unit does, and does not wait for it. */
  boot(): void
  /** SIGTERM for the daemon, and its end; commands live on. */
  stopDaemon(): Promise<void>
  /** Nothing runs and the disk has no frozen state any more: what a cold boot finds. */
  powerOff(): Promise<void>
  /**
   * Stops the daemon between two instructions, as a pause of the whole machine does; whatever else runs was frozen
   * before.
   */
  pause(): void
  resume(): void
  /** What the daemon wrote to standard output and standard error. */
  log(): Promise<string>
  /** Whether a write to the disk gets through within a second. */
  takesWrites(): Promise<boolean>
}

/** The addresses of a microVM's only network, and of its metadata service. */
const GUEST = '169.254.0.21'
const HOST = '169.254.0.22'
const METADATA = '169.254.169.254'
/** The service that the daemon is, where systemd has it. */
const SERVICE = 'envd.slice/envd.service'
const USER_ID = 1000

const run = promisify(execFile)
const launcher = fileURLToPath(new URL('../../scripts/envd', import.meta.url))

/** Skips the test, with the reason, where such a machine cannot be made. */
export async function needsMachine(context: TestContext): Promise<void> {
  needsCgroups(context)
  await needsLoopDisks(context)
  await run('ip', ['-V']).catch(() => context.skip('needs ip, of the package iproute2'))
}

/** Makes one; its daemon is not started. One at a time: the host's addresses are in the network of the test. */
export async function makeMachine(context: TestContext): Promise<Machine> {
  await using undo = new AsyncDisposableStack()
  const directory = undo.use(await makeTmpDir())
  const disk = undo.use(await makeLoopDisk(directory.path, context))
  await installOnDisk(disk)
  await mkdir(join(disk.path, 'home/user'), { recursive: true })
  await chown(join(disk.path, 'home/user'), USER_ID, USER_ID)
  await mkdir(join(disk.path, 'etc/ssl/certs'), { recursive: true })
  // As long as that of a distribution.
  await writeFile(
    join(disk.path, 'etc/ssl/certs/ca-certificates.crt'),
    Array.from({ length: 150 }, (_, i) => certificate(i)),
  )
  await writeFile(join(disk.path, 'etc/hosts'), '127.0.0.1 localhost\n')
  const cgroups = undo.use(makeCgroupRoot())
  for (const group of [SERVICE, 'system.slice/cron.service'])
    await mkdir(`${cgroups.path}/${group}`, { recursive: true })
  const network = await makeNetwork(undo)
  const mmds = undo.use(await startFakeMmds({ host: METADATA, port: 80 }, {}))
  const collector = undo.use(await startCollector(HOST))
  const logFile = join(directory.path, 'envd.log')
  await writeFile(logFile, '')
  let daemon: ChildProcess | undefined
  const stopDaemon = async () => {
    const ending = daemon
    daemon = undefined
    if (ending !== undefined) await stopped(ending, logFile)
  }
  undo.defer(stopDaemon)
  undo.defer(disk.thaw)
  const owned = undo.move()
  return {
    url: `http://${GUEST}:49983`,
    get pid() {
      return daemonPid(daemon?.pid ?? 0)
    },
    mmds,
    collector,
    cgroups,
    root: disk.path,
    boot: () => {
      daemon = spawn('sh', ['-c', BOOT, cgroups.path, network, disk.path, launcher, logFile], {
        detached: true,
        env: { PATH: process.env['PATH'] ?? '', HOME: '/root' },
        stdio: 'ignore',
      })
    },
    stopDaemon,
    powerOff: async () => {
      const ending = daemon
      daemon = undefined
      cgroups.write('cgroup.kill', '1')
      if (ending?.exitCode === null && ending.signalCode === null) await once(ending, 'close')
      await disk.thaw()
    },
    pause: () => signalBoth(daemon, 'SIGSTOP'),
    resume: () => signalBoth(daemon, 'SIGCONT'),
    log: () => readFile(logFile, 'utf8'),
    takesWrites: () => takesWrites(join(disk.path, 'probe')),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/**
 * A service of its own, with the priorities of its unit (contract K1). Arguments: cgroups, network, root, launcher,
 * log.
 */
const BOOT = `echo $$ >"$0/${SERVICE}/cgroup.procs" && exec ${ON_MACHINE.join(' ')} nsenter --net="$1" nice -n -20 ionice -c 1 -n 4 \
  chroot "$2" "$3" -cgroup-root "$0" >>"$4" 2>&1`

/** The machine's network, with a cable to that of the test. @returns the path of its namespace */
async function makeNetwork(undo: AsyncDisposableStack): Promise<string> {
  const name = `machine-${process.pid}`
  const cable = `vm${process.pid}`
  const inside = (...command: string[]) => run('ip', ['-n', name, ...command])
  await run('ip', ['netns', 'add', name])
  undo.defer(async () => void (await run('ip', ['netns', 'delete', name])))
  await run('ip', ['link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name])
  // It goes with the network of the machine, only a little later.
  undo.defer(async () => void (await run('ip', ['link', 'delete', cable]).catch(() => {})))
  await run('ip', ['address', 'add', `${HOST}/30`, 'dev', cable])
  await run('ip', ['address', 'add', `${METADATA}/32`, 'dev', cable])
  await run('ip', ['link', 'set', cable, 'up'])
  await inside('address', 'add', `${GUEST}/30`, 'dev', 'eth0')
  await inside('link', 'set', 'lo', 'up')
  await inside('link', 'set', 'eth0', 'up')
  await inside('route', 'add', 'default', 'via', HOST)
  return `/run/netns/${name}`
}

function signalBoth(launched: ChildProcess | undefined, signal: NodeJS.Signals): void {
  const pid = launched?.pid
  if (pid === undefined) return
  for (const each of new Set([pid, daemonPid(pid)])) if (!Number.isNaN(each)) process.kill(each, signal)
}

async function stopped(daemon: ChildProcess, logFile: string): Promise<void> {
  if (daemon.exitCode === null && daemon.signalCode === null) {
    const ended = once(daemon, 'close')
    signalBoth(daemon, 'SIGCONT')
    daemon.kill('SIGTERM')
    await ended
  }
  if (daemon.exitCode !== 0)
    throw new Error(`the daemon ended with ${daemon.exitCode ?? daemon.signalCode}\n${await readFile(logFile, 'utf8')}`)
}
