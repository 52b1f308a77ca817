import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { TestContext } from 'vitest'
import { type Daemon, type DaemonOptions, startDaemon } from '../_util/daemon.ts'
import { needsNamespace } from '../_util/namespace.ts'

const run = promisify(execFile)
const launcher = fileURLToPath(new URL('../../scripts/envd', import.meta.url))

/**
 * A daemon in a network of its own, with two cables to the test: the peers behind one of them can vanish without a
 * word.
 */
export interface Island extends AsyncDisposable {
  readonly daemon: Daemon
  /** The daemon, over the cable that stays. */
  readonly url: string
  /** The daemon, over the one that `cut` cuts. */
  readonly doomed: string
  /**
   * From now on nothing comes back from the clients of `doomed`, and the daemon gets no notice: as after a restored
   * snapshot.
   */
  cut(): Promise<void>
  /** TCP connections of the daemon with clients of `doomed` that are established. */
  doomedConnections(): Promise<number>
}

/** The daemon's address on the cable that can be cut. */
export const DOOMED_ADDRESS = '10.92.0.1'

/** Skips the test, with the reason, where such a network cannot be made. */
export async function needsCables(context: TestContext): Promise<void> {
  needsNamespace(context)
  await run('ip', ['-V']).catch(() => context.skip('needs ip, of the package iproute2'))
}

/** The daemon's addresses end in 1, the test's in 2. */
const CABLES = { lasting: '10.91.0', doomed: '10.92.0' }
let made = 0

/** Starts a daemon that listens on both cables. Disposing stops it, which takes the network away. */
export async function startIsland(options: DaemonOptions = {}): Promise<Island> {
  const number = ++made
  const args = ['-address', '0.0.0.0', ...(options.args ?? [])]
  const daemon = await startDaemon({ ...options, args, launch: ['unshare', '--net', launcher] })
  const inside = (...command: string[]) => run('nsenter', ['-t', String(daemon.pid), '-n', 'ip', ...command])
  await inside('link', 'set', 'lo', 'up')
  for (const [name, net] of Object.entries(CABLES)) {
    const [here, there] = [`${name}${number}`, `there-${name}`]
    await run('ip', ['link', 'add', here, 'type', 'veth', 'peer', 'name', there, 'netns', String(daemon.pid)])
    await run('ip', ['address', 'add', `${net}.2/24`, 'dev', here])
    await run('ip', ['link', 'set', here, 'up'])
    await inside('address', 'add', `${net}.1/24`, 'dev', there)
    await inside('link', 'set', there, 'up')
  }
  return {
    daemon,
    url: `http://${CABLES.lasting}.1:${daemon.port}`,
    doomed: `http://${CABLES.doomed}.1:${daemon.port}`,
    cut: async () => {
      const mac = networkInterfaces()[`doomed${number}`]?.[0]?.mac ?? ''
      // The gateway of a restored machine is there, only the peers are not: their address must still be known.
      await inside(
        'neighbour',
        'replace',
        `${CABLES.doomed}.2`,
        'lladdr',
        mac,
        'dev',
        'there-doomed',
        'nud',
        'permanent',
      )
      await run('ip', ['address', 'delete', `${CABLES.doomed}.2/24`, 'dev', `doomed${number}`])
    },
    doomedConnections: async () => {
      const peer = hexAddress(`${CABLES.doomed}.2`)
      const table = await readFile(`/proc/${daemon.pid}/net/tcp`, 'utf8')
      return table.split('\n').filter((line) => isEstablishedWith(peer, line)).length
    },
    async [Symbol.asyncDispose]() {
      await daemon[Symbol.asyncDispose]()
      // They go with the network of the daemon, only a little later.
      for (const name of Object.keys(CABLES)) await run('ip', ['link', 'delete', `${name}${number}`]).catch(() => {})
    },
  }
}

/** A line of /proc/net/tcp (proc_net(5)): the fourth field is the state, 01 for established. */
function isEstablishedWith(peer: string, line: string): boolean {
  const [, , remote, state] = line.trim().split(/\s+/)
  return remote?.startsWith(`${peer}:`) === true && state === '01'
}

function hexAddress(address: string): string {
  return Buffer.from(address.split('.').map(Number)).reverse().toString('hex').toUpperCase()
}
