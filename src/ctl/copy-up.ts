import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { createZstdCompress } from 'node:zlib'
import type { CopyOptions } from './cp.ts'
import { existsRemote } from './places.ts'
import { showProgress } from './progress.ts'
import type { Sandbox } from './sandbox.ts'

/** Sends a directory as an archive; what of it was left out. Throws Failure. */
export async function putDirectory(
  sandbox: Sandbox,
  local: string,
  remote: string,
  { exclude, replace, compress, signal }: CopyOptions,
): Promise<readonly string[]> {
  const { measure, packTree } = await import('./local-tree.ts')
  const progress = showProgress(local)
  const leftOut: string[] = []
  if (process.stderr.isTTY && exclude.length === 0) void measure(local).then((total) => total && progress.expect(total))
  const archive = packTree(local, { exclude, moved: progress.moved, onLeftOut: (path) => leftOut.push(path) })
  try {
    const body: AsyncIterable<Buffer> = compress ? Readable.from(archive).pipe(createZstdCompress()) : archive
    const headers = { 'content-type': compress ? 'application/zstd' : 'application/x-tar' }
    await sandbox.post({ path: remote, mode: replace ? 'replace' : undefined }, body, headers, signal)
  } finally {
    progress.end()
  }
  return leftOut
}

/** Sends a file; a new one has its permissions. Throws Failure. */
export async function putFile(
  sandbox: Sandbox,
  local: string,
  remote: string,
  { mode, size, signal }: CopyOptions & { readonly mode: number; readonly size: number },
): Promise<readonly string[]> {
  const chmod = (await existsRemote(sandbox, remote)) ? undefined : mode.toString(8).padStart(4, '0')
  const progress = showProgress(local)
  progress.expect({ bytes: size, files: 1 })
  async function* body() {
    for await (const chunk of createReadStream(local, { highWaterMark: 256 * 1024 })) {
      progress.moved.bytes += (chunk as Buffer).length
      yield chunk as Buffer
    }
  }
  try {
    await sandbox.post({ path: remote, chmod }, body(), { 'content-type': 'application/octet-stream' }, signal)
  } finally {
    progress.end()
  }
  return []
}
