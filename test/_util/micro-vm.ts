import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type FakeMmds, startFakeMmds } from '../init/mmds/fake-mmds.ts'
import type { FromInside, ToInside } from './micro-vm-inside.ts'
import { makeTmpDir } from './tmp-dir.ts'

/**
 * A daemon as in a microVM: in a network of its own, where a metadata service that the test controls answers at
 * 169.254.169.254. Disposing stops it, and fails if it did not end well. Takes root.
 */
export interface MicroVm extends AsyncDisposable {
  /** Where the daemon is reached from here. */
  readonly url: string
  readonly pid: number
  readonly mmds: FakeMmds
  readonly runDir: string
  /** The text of a file of the run directory; undefined if there is none. */
  file(name: string): Promise<string | undefined>
  /** Other sockets at 169.254.169.254, by their ports. */
  readonly listeners: ReadonlyMap<number, Server>
  /** Stops the daemon; gives what it wrote. Idempotent. */
  stop(): Promise<{ readonly stdout: string; readonly stderr: string }>
}

export interface MicroVmOptions {
  /** Flags of the daemon. */
  readonly args?: readonly string[]
  /** What the metadata service says, from before the daemon starts. */
  readonly options?: unknown
  /** Where else to listen at the host's address. */
  readonly ports?: readonly number[]
}

/** The metadata service's address, and the host's altogether. */
export const HOST = '169.254.169.254'

const ownNetwork = fileURLToPath(new URL('../ports/network-of-its-own', import.meta.url))
const inside = fileURLToPath(new URL('micro-vm-inside.ts', import.meta.url))

/** Starts one; resolves once the daemon listens. */
export async function startMicroVm({ args = [], options, ports = [] }: MicroVmOptions = {}): Promise<MicroVm> {
  const tmp = await makeTmpDir()
  const runDir = join(tmp.path, 'run')
  const command = [HOST, process.execPath, inside, HOST, [80, ...ports].join(','), '-run-dir', runDir, ...args]
  const child = spawn(ownNetwork, command, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
  const ended = outcomeOf(child)
  const listeners = new Map<number, Server>()
  const mmds = Promise.withResolvers<FakeMmds>()
  const started = new Promise<number>((resolve, reject) => {
    child.on('message', (message: FromInside, handle) => {
      if ('pid' in message) return resolve(message.pid)
      // Only listening sockets are sent.
      const server = handle as Server
      if (message.port !== 80) listeners.set(message.port, server)
      else startFakeMmds(server, options).then(mmds.resolve, mmds.reject)
    })
    void ended.then(({ stdout, stderr }) => reject(new Error(`it did not start\n${stdout}\n${stderr}`)))
  })
  const pid = await started
  const front = createServer().listen(0, '127.0.0.1')
  await once(front, 'listening')
  const address = front.address()
  if (address === null || typeof address === 'string') throw new Error('it listens on TCP')
  await new Promise((resolve) => child.send('front' satisfies ToInside, front, {}, resolve))
  // Every process that listens on a socket gets a part of its connections.
  front.close()
  const stop = async () => {
    if (child.connected) child.send('stop' satisfies ToInside)
    return ended
  }
  return {
    url: `http://127.0.0.1:${address.port}`,
    pid,
    mmds: await mmds.promise,
    runDir,
    listeners,
    file: (name) => readFile(join(runDir, name), 'utf8').catch(() => undefined),
    stop,
    async [Symbol.asyncDispose]() {
      const { code, stdout, stderr } = await stop()
      for (const server of listeners.values()) server.close()
      await (await mmds.promise)[Symbol.asyncDispose]()
      await tmp[Symbol.asyncDispose]()
      if (code !== 0) throw new Error(`the microVM ended with ${code}\n${stdout}\n${stderr}`)
    },
  }
}

async function outcomeOf(child: ChildProcess): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
    })
  }
  const [code] = await once(child, 'close')
  return { code, ...output }
}
