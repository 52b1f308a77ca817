import { openSync } from 'node:fs'
import { constants } from 'node:os'
import {
  close,
  type ExitStatus,
  openPipe,
  pidfdWait,
  poll,
  read,
  type Spawned,
  type SpawnSpec,
  setNonBlocking,
  spawn,
} from '../../src/native/index.ts'

/** /dev/null, open for reading and writing. */
export const devNull = openSync('/dev/null', 'r+')

/**
 * A spec that is complete but for what a test is about: as the tests' own user, in /, without input, output thrown
 * away.
 */
export const plainSpec: SpawnSpec = {
  file: 'true',
  args: [],
  env: ['PATH=/usr/local/bin:/usr/bin:/bin'],
  cwd: '/',
  stdio: [devNull, devNull, devNull],
  terminal: false,
}

/** Resolves at the first readiness of a descriptor. */
export function ready(fd: number, writable = false): Promise<void> {
  return new Promise((resolve) => {
    const watch = poll(fd, writable, () => {
      watch.close()
      resolve()
    })
    watch.start()
  })
}

/** Everything up to the end of file or a terminal's hang-up; any other error is thrown. */
export async function readAll(fd: number): Promise<string> {
  const chunks: Buffer[] = []
  const buffer = Buffer.alloc(65536)
  setNonBlocking(fd)
  for (;;) {
    const count = read(fd, buffer, 0, buffer.length)
    if (count > 0) chunks.push(Buffer.from(buffer.subarray(0, count)))
    else if (count === 0 || count === -constants.errno.EIO) return Buffer.concat(chunks).toString()
    else if (count === -constants.errno.EAGAIN) await ready(fd)
    else throw new Error(`read: errno ${-count}`)
  }
}

/** The status of a process, awaited by its pidfd, which is closed. */
export async function ended(child: Pick<Spawned, 'pid' | 'pidfd'>): Promise<ExitStatus> {
  await ready(child.pidfd)
  const status = pidfdWait(child.pidfd)?.status
  close(child.pidfd)
  if (status === undefined) throw new Error('the pidfd was readable, but the process runs')
  return status
}

/** Runs a process to its end: its status and what it wrote to stdout and stderr. */
export async function run(changes: Partial<SpawnSpec>): Promise<{ status: ExitStatus; output: string }> {
  const [reading, writing] = openPipe()
  const started = spawn({ ...plainSpec, stdio: [devNull, writing, writing], ...changes }).finally(() => close(writing))
  try {
    const [child, output] = await Promise.all([started, started.then(() => readAll(reading))])
    return { status: await ended(child), output }
  } finally {
    close(reading)
  }
}

/** Runs a shell script to its end; gives its output, and fails unless it exits with 0. */
export async function shell(script: string, changes: Partial<SpawnSpec> = {}): Promise<string> {
  const { status, output } = await run({ file: '/bin/sh', args: ['-c', script], ...changes })
  if (!('exitCode' in status) || status.exitCode !== 0) throw new Error(`${JSON.stringify(status)}: ${output}`)
  return output
}
