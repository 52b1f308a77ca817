import { execFile, spawn } from 'node:child_process'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, type TestContext } from 'vitest'
import { needsNamespace } from './namespace.ts'
import { makeTmpDir } from './tmp-dir.ts'

/** A file system whose server stops answering. */
export interface DeadMount extends AsyncDisposable {
  readonly path: string
  /** From now on every call into it waits for an answer that does not come. */
  die(): void
  /** What waits for an answer fails: a call that the server had begun with cannot be killed before. */
  end(): void
}

/**
 * A FUSE file system; skips the test, with the reason, where there can be none.
 * @param at where it is mounted, which is made; by default in a directory of its own.
 */
export async function mountFuse(context: TestContext, at?: string): Promise<DeadMount> {
  needsNamespace(context)
  const dir = await makeTmpDir()
  const path = at ?? join(dir.path, 'mounted')
  await mkdir(path)
  await mkdir(join(dir.path, 'origin'))
  const server = spawn('bindfs', ['-f', join(dir.path, 'origin'), path], { stdio: 'ignore' })
  let failed: string | undefined
  server.once('error', (error) => (failed = error.message))
  server.once('exit', (code) => (failed = `bindfs ended with ${code}`))
  const mounted = async () => failed !== undefined || (await readFile('/proc/self/mounts', 'utf8')).includes(path)
  await expect.poll(mounted).toBe(true)
  if (failed !== undefined) context.skip(`no FUSE mount: ${failed}`)
  return {
    path,
    die: () => void server.kill('SIGSTOP'),
    end: () => void server.kill('SIGKILL'),
    async [Symbol.asyncDispose]() {
      server.kill('SIGKILL')
      await promisify(execFile)('umount', ['-l', path])
      await dir[Symbol.asyncDispose]()
    },
  }
}

const hangingServer = fileURLToPath(new URL('hanging-filesystem.py', import.meta.url))

/**
 * A FUSE file system that answers, but for some of its entries; skips the test, with the reason, where there can be
 * none.
 * @param entries as `hanging-filesystem.py` says.
 */
export async function mountHanging(context: TestContext, entries: readonly string[]): Promise<Omit<DeadMount, 'die'>> {
  needsNamespace(context)
  const dir = await makeTmpDir()
  const server = spawn('python3', [hangingServer, dir.path, ...entries], { stdio: ['ignore', 'inherit', 'pipe'] })
  let failed: string | undefined
  server.stderr.setEncoding('utf8').on('data', (text: string) => (failed = text.trim()))
  server.once('error', (error) => (failed = error.message))
  const mounted = async () => failed !== undefined || (await readFile('/proc/self/mounts', 'utf8')).includes(dir.path)
  await expect.poll(mounted).toBe(true)
  if (failed !== undefined) context.skip(`no FUSE mount: ${failed}`)
  return {
    path: dir.path,
    end: () => void server.kill('SIGKILL'),
    async [Symbol.asyncDispose]() {
      server.kill('SIGKILL')
      await promisify(execFile)('umount', ['-l', dir.path])
      await dir[Symbol.asyncDispose]()
    },
  }
}

/** Whether a thread of a process is in a call that a FUSE file system has to answer. */
export async function waitsForFuse(pid: number): Promise<boolean> {
  return (await threadsInFuse(pid)) > 0
}

/** How many are. */
export async function threadsInFuse(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`)
  const stacks = await Promise.all(
    threads.map((id) => readFile(`/proc/${pid}/task/${id}/stack`, 'utf8').catch(() => '')),
  )
  return stacks.filter((stack) => stack.includes('fuse')).length
}
