import { basename, resolve } from 'node:path'
import type { Command, Invocation } from './command.ts'
import { getDirectory, getFile } from './copy-down.ts'
import { copyInside } from './copy-inside.ts'
import { putDirectory, putFile } from './copy-up.ts'
import { Failure } from './failure.ts'
import { INTERRUPTED, interrupted } from './interrupted.ts'
import { statLocal, statRemote } from './places.ts'
import { writeError } from './session.ts'

/** What a copy has left out. */
const LEFT_OUT = 1

/** Copies between this machine and the sandbox. */
export const cp: Command = {
  name: 'cp',
  usage: '[OPTION]... SOURCE DESTINATION',
  summary: 'copy to, from or in the sandbox, whose paths begin with ":"',
  words: [2, 2],
  options: {
    recursive: { type: 'boolean', short: 'r', help: 'a directory with all that is in it' },
    exclude: { type: 'string', multiple: true, value: 'PATTERN', help: 'leave out what matches, as in a .gitignore' },
    delete: { type: 'boolean', help: 'replace a directory in one step: what is not in the source goes' },
    resume: { type: 'boolean', help: 'a file: go on where a copy that was cut off had come to' },
    compress: { type: 'boolean', short: 'z', help: 'compress a directory on its way, for slow connections' },
  },
  run: async (invocation) => {
    const { words, flag } = invocation
    const [source = '', destination = ''] = words
    if (source === '' || destination === '') throw new Failure('usage', 'a path must not be empty')
    const named = into(source, destination)
    const interrupt = interrupted()
    const how: CopyOptions = {
      recursive: flag('recursive'),
      exclude: invocation.texts('exclude'),
      replace: flag('delete'),
      compress: flag('compress'),
      resume: flag('resume'),
      signal: interrupt.signal,
    }
    try {
      const leftOut = await copy(invocation, source, named, how)
      if (leftOut.length > 0) await writeError(`envd ctl: left out: ${leftOut.join(', ')}\n`)
      return leftOut.length > 0 ? LEFT_OUT : 0
    } catch (error) {
      if (interrupt.signal.aborted) return INTERRUPTED
      throw error
    } finally {
      interrupt.forget()
    }
  },
}

/** How something is copied. */
export interface CopyOptions {
  readonly recursive: boolean
  readonly exclude: readonly string[]
  readonly replace: boolean
  readonly compress: boolean
  /** What has come of a file stays when the copy is cut off, and the next one goes on there. */
  readonly resume: boolean
  readonly signal: AbortSignal
}

/** With a slash at its end the destination is what the copy goes into, under its own name. */
function into(source: string, destination: string): string {
  return destination.endsWith('/') ? destination + basename(source.replace(/^:/, '')) : destination
}

/** What was left out. Throws Failure. */
async function copy(
  { sandbox }: Pick<Invocation, 'sandbox'>,
  source: string,
  destination: string,
  how: CopyOptions,
): Promise<readonly string[]> {
  const [from, to] = [source.startsWith(':'), destination.startsWith(':')]
  if (!from && !to) throw new Failure('usage', 'one of both is in the sandbox: its path begins with ":"')
  if (from && to && how.resume) throw new Failure('usage', 'a copy in the sandbox cannot be resumed')
  if (from && to) return copyInside(sandbox, source.slice(1), destination.slice(1), how)
  if (from) {
    const remote = source.slice(1)
    const { directory, mode } = await statRemote(sandbox, remote, how)
    const local = resolve(destination)
    checkResume(how, directory)
    if (how.resume) return resumed(({ getResumed }) => getResumed(sandbox, remote, local, { ...how, mode }))
    return directory ? getDirectory(sandbox, remote, local, how) : getFile(sandbox, remote, local, { ...how, mode })
  }
  const local = resolve(source)
  const remote = destination.slice(1)
  const { directory, mode, size } = await statLocal(local, how)
  checkResume(how, directory)
  if (how.resume) return resumed(({ putResumed }) => putResumed(sandbox, local, remote, { ...how, mode, size }))
  return directory ? putDirectory(sandbox, local, remote, how) : putFile(sandbox, local, remote, { ...how, mode, size })
}

function checkResume({ resume }: CopyOptions, directory: boolean): void {
  if (resume && directory) throw new Failure('usage', '--resume is for files: sync goes on with a directory')
}

async function resumed(
  copying: (how: typeof import('./resume-up.ts') & typeof import('./resume-down.ts')) => Promise<void>,
): Promise<readonly string[]> {
  await copying({ ...(await import('./resume-up.ts')), ...(await import('./resume-down.ts')) })
  return []
}
