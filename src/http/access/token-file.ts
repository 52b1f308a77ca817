import { type FileHandle, open } from 'node:fs/promises'
import type { Log } from '../../log.ts'

/** Far above any token: a file that is longer is another one. */
const MAX_BYTES = 4096

/** Others than the owner may read it. */
const OPEN_MODE = 0o044

/** What a client can send in a header, and `/init` in its body without escapes. */
const TOKEN = /^[!-[\]-~]+$/

/**
 * Reads the access token from a file, without the newline at its end. Warns of a file that others may read. Rejects
 * with an Error that contains nothing of the contents.
 */
export async function readTokenFile(path: string, log: Log): Promise<string> {
  const file = await open(path, 'r').catch((error: Error) => {
    throw new Error(`the access token cannot be read: ${error.message}`)
  })
  try {
    return await readToken(file, path, log)
  } finally {
    await file.close()
  }
}

async function readToken(file: FileHandle, path: string, log: Log): Promise<string> {
  const { mode } = await file.stat()
  if ((mode & OPEN_MODE) !== 0) log.warn({ path }, 'other users may read the file of the access token: chmod 600')
  const { bytesRead, buffer } = await file.read(Buffer.alloc(MAX_BYTES + 1), 0, MAX_BYTES + 1, null)
  const token = buffer.toString('utf8', 0, bytesRead).trimEnd()
  buffer.fill(0)
  if (bytesRead > MAX_BYTES || !TOKEN.test(token))
    throw new Error(`${path} holds no access token: it must be one line of visible ASCII without a backslash`)
  return token
}
