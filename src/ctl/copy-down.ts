import { randomBytes } from 'node:crypto'
import { open, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { CopyOptions } from './cp.ts'
import { Failure } from './failure.ts'
import { type Progress, showProgress } from './progress.ts'
import type { Sandbox } from './sandbox.ts'

/** Gets a directory as an archive; what of it was left out. Throws Failure. */
export async function getDirectory(
  sandbox: Sandbox,
  remote: string,
  local: string,
  { exclude, replace, compress, signal }: CopyOptions,
): Promise<readonly string[]> {
  if (exclude.some((pattern) => pattern.includes(','))) throw new Failure('usage', 'a pattern has no comma')
  const { unpackTree } = await import('./local-tree.ts')
  const query = { path: remote, format: compress ? 'tar.zst' : 'tar', exclude: exclude.join(',') || undefined }
  const progress = showProgress(remote)
  try {
    const { body, trailer } = await sandbox.get(query, signal)
    if (process.stderr.isTTY && exclude.length === 0) void expectRemote(sandbox, remote, progress)
    await unpackTree(body, local, { replace, compressed: compress, moved: progress.moved, signal })
    return leftOutOf(trailer('x-left-out'))
  } finally {
    progress.end()
  }
}

/** The trailer `X-Left-Out`: how many, and the names of some, percent-encoded. */
export function leftOutOf(trailer = ''): readonly string[] {
  const [, count = '0', names = ''] = /^(\d+);? ?(.*)$/.exec(trailer) ?? []
  if (Number(count) === 0) return []
  const some = names.split(',').map(decodeURIComponentOr)
  return Number(count) > some.length ? [...some, `${Number(count) - some.length} more`] : some
}

function decodeURIComponentOr(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** What cannot be found out is not shown. */
async function expectRemote(sandbox: Sandbox, path: string, progress: Progress): Promise<void> {
  try {
    for await (const { summary } of sandbox.stream<{
      readonly summary?: { readonly length?: string; readonly entries?: string }
    }>('files.v1.Files/DiskUsage', { path }))
      if (summary !== undefined) progress.expect({ bytes: Number(summary.length), files: Number(summary.entries) })
  } catch {}
}

/** Gets a file beside its place, which it takes when it is whole. Throws Failure. */
export async function getFile(
  sandbox: Sandbox,
  remote: string,
  local: string,
  { mode, signal }: CopyOptions & { readonly mode: number },
): Promise<readonly string[]> {
  const progress = showProgress(remote)
  const temporary = join(dirname(local), `.${basename(local)}.${randomBytes(6).toString('hex')}.tmp`)
  try {
    const { body } = await sandbox.get({ path: remote }, signal)
    await using file = await open(temporary, 'wx', mode)
    for await (const chunk of body) {
      await file.write(chunk)
      progress.moved.bytes += chunk.length
    }
    await rename(temporary, local)
  } catch (error) {
    await unlink(temporary).catch(() => {})
    if (error instanceof Error && 'syscall' in error) throw new Failure('internal', error.message)
    throw error
  } finally {
    progress.end()
  }
  return []
}
