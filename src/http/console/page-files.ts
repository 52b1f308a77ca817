import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import type { IncomingHttpHeaders } from 'node:http'
import { extname, join, relative } from 'node:path'
import { accepts } from '../../lib/weighted-list.ts'

/** A file of the console's page, read. */
interface PageFile {
  /** Of its answers, beside `PAGE_HEADERS`. */
  readonly headers: Readonly<Record<string, string>>
  readonly content: Buffer
}

/** The files of the console's page: read when they are first asked for, and kept, some 3 MB if all of them are. */
export interface PageFiles {
  /**
   * What a path below `/console/` names, as the client takes it: compressed, where the build has made that. Undefined:
   * there is no such file. A promise: it is read first; rejects as readFile.
   */
  find(path: string, headers: IncomingHttpHeaders): PageFile | Promise<PageFile> | undefined
}

const INDEX = 'index.html'

/** Names of all other files contain a hash of their content. */
const IMMUTABLE = 'public, max-age=31536000, immutable'

/** Those that a build has. */
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'application/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** Siblings that the build has made, the smallest first. */
const ENCODINGS = [
  { name: 'br', suffix: '.br' },
  { name: 'gzip', suffix: '.gz' },
] as const

/**
 * Lists the files of a build of `src/console`.
 * @param root the directory of the build. Rejects as readFile does where there is none.
 */
export async function loadPageFiles(root: string): Promise<PageFiles> {
  const tag = entityTag(await readFile(join(root, INDEX)))
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const names = new Set(files.map(({ parentPath, name }) => relative(root, join(parentPath, name))))
  const kept = new Map<string, PageFile | Promise<PageFile>>()
  const read = async (key: string, headers: PageFile['headers']) => {
    const file = { headers, content: await readFile(join(root, key)) }
    kept.set(key, file)
    return file
  }
  return {
    find: (path, headers) => {
      const name = path === '' ? INDEX : path
      const type = TYPES[extname(name)]
      if (type === undefined || !names.has(name)) return undefined
      const encoding = ENCODINGS.find(
        ({ name: encoding, suffix }) => names.has(name + suffix) && accepts(headers['accept-encoding'], encoding),
      )
      const key = name + (encoding?.suffix ?? '')
      const found = kept.get(key)
      if (found !== undefined) return found
      const reading = read(key, {
        ...{ 'content-type': type, vary: 'Origin, Accept-Encoding' },
        ...(name === INDEX ? { 'cache-control': 'no-cache', etag: tag } : { 'cache-control': IMMUTABLE }),
        ...(encoding === undefined ? {} : { 'content-encoding': encoding.name }),
      })
      kept.set(key, reading)
      reading.catch(() => kept.delete(key))
      return reading
    },
  }
}

/** Whether the client of a request has the file as it is. */
export function isKnown({ headers }: PageFile, condition: string | undefined): boolean {
  const tag = headers['etag']
  return tag !== undefined && condition !== undefined && matches(condition, tag)
}

/** Weak: the same for every encoding (RFC 9110 8.8.3.3). */
function entityTag(content: Buffer): string {
  return `W/"${createHash('sha256').update(content).digest('base64url').slice(0, 22)}"`
}

/** Of `If-None-Match`, by the weak comparison (RFC 9110 13.1.2). */
function matches(condition: string, tag: string): boolean {
  return condition.split(',').some((part) => part.trim() === '*' || part.trim().replace(/^(?!W\/)/, 'W/') === tag)
}
