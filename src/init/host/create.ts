import { AppError } from '../../errors.ts'
import { NEVER } from '../../lib/never.ts'
import { withTimeout } from '../../lib/with-timeout.ts'
import type { Log } from '../../log.ts'
import type { EnvVars } from '../../users/defaults.ts'
import { type CaBundle, createCaBundle } from './ca-bundle.ts'
import { createHostCommands, type HostCommands } from './commands.ts'
import { createHostsFile } from './hosts-file.ts'
import { createHyperloop, type Hyperloop } from './hyperloop.ts'
import { createVolumes, type Volumes } from './volumes.ts'

/** What `/init` changes on the machine around the daemon. */
export interface Host {
  readonly commands: HostCommands
  readonly hyperloop: Hyperloop
  readonly caBundle: CaBundle
  readonly volumes: Volumes
  /** Kills the commands that run, and waits for the work in the background, a second at most. */
  close(): Promise<void>
}

/** Where things are on a machine; tests have their own. */
interface HostPaths {
  readonly hosts: string
  /** All certificates that programs trust, in one file. */
  readonly certificates: string
  /** The bundle that was installed last, where update-ca-certificates(8) finds it. */
  readonly installedBundle: string
}

/** What the host's parts need. */
interface HostOptions {
  /** PATH of the machine's programs. */
  readonly path: string
  readonly env: EnvVars
  readonly log: Log
  readonly paths?: HostPaths
}

const MACHINE: HostPaths = {
  hosts: '/etc/hosts',
  certificates: '/etc/ssl/certs/ca-certificates.crt',
  installedBundle: '/usr/local/share/ca-certificates/e2b-ca.crt',
}

/** What may keep the end of the daemon waiting: renaming a file takes a moment, unless the disk hangs. */
const CLOSE_MS = 1_000

/** Builds the parts; nothing on the machine is touched before they are asked. */
export function createHost({ path, env, log, paths = MACHINE }: HostOptions): Host {
  const stopping = new AbortController()
  const commands = createHostCommands(path)
  const caBundle = createCaBundle({ certificates: paths.certificates, installed: paths.installedBundle, log })
  return {
    commands,
    hyperloop: createHyperloop({ hosts: createHostsFile(paths.hosts), env, log }),
    caBundle,
    volumes: createVolumes({ commands, log, shutdown: stopping.signal }),
    close: async () => {
      stopping.abort(new AppError('unavailable', 'the daemon is stopping'))
      await withTimeout(CLOSE_MS, caBundle.settled(), NEVER)
    },
  }
}
