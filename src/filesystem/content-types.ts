import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { posix } from 'node:path'

/** What every image knows; the tables of the image itself cannot change these. */
const BUILT_IN: readonly (readonly [string, string])[] = [
  ['.avif', 'image/avif'],
  ['.css', 'text/css; charset=utf-8'],
  ['.gif', 'image/gif'],
  ['.htm', 'text/html; charset=utf-8'],
  ['.html', 'text/html; charset=utf-8'],
  ['.jpeg', 'image/jpeg'],
  ['.jpg', 'image/jpeg'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.json', 'application/json'],
  ['.mjs', 'text/javascript; charset=utf-8'],
  ['.pdf', 'application/pdf'],
  ['.png', 'image/png'],
  ['.svg', 'image/svg+xml'],
  ['.wasm', 'application/wasm'],
  ['.webp', 'image/webp'],
  ['.xml', 'text/xml; charset=utf-8'],
]

const SHARED_MIME = ['/usr/local/share/mime/globs2', '/usr/share/mime/globs2']
const MIME_TYPES = [
  '/etc/mime.types',
  '/etc/apache2/mime.types',
  '/etc/apache/mime.types',
  '/etc/httpd/conf/mime.types',
]

/** Debian's tables have 80 KB; an image may have anything there, also a pipe without a writer. */
const MAX_TABLE_BYTES = 1024 * 1024

/** Media types by file name extension. */
export interface ContentTypes {
  /** The media type that belongs to a path's extension, or undefined. */
  of(path: string): Promise<string | undefined>
}

/**
 * The image's own tables: shared-mime-info's globs2 if there is one, else the mime.types files (contract B18). They are
 * read at the first question and kept.
 */
export function createContentTypes(files = { sharedMime: SHARED_MIME, mimeTypes: MIME_TYPES }): ContentTypes {
  let table: Promise<ReadonlyMap<string, string>> | undefined
  return {
    of: async (path) => {
      const extension = extensionOf(path)
      if (extension === '') return undefined
      table ??= load(files)
      const types = await table
      return types.get(extension) ?? types.get(extension.toLowerCase())
    },
  }
}

/** From the last dot of the last element on, a leading dot included; empty where there is none. */
function extensionOf(path: string): string {
  const name = posix.basename(path)
  const dot = name.lastIndexOf('.')
  return dot < 0 ? '' : name.slice(dot)
}

async function load(files: { sharedMime: string[]; mimeTypes: string[] }): Promise<ReadonlyMap<string, string>> {
  const table = new Map(BUILT_IN)
  const globs = (await Promise.all(files.sharedMime.map(linesOf))).filter((lines) => lines !== undefined)
  if (globs.length > 0) {
    for (const line of globs.flat()) addGlob(table, line)
    return table
  }
  for (const lines of await Promise.all(files.mimeTypes.map(linesOf))) {
    for (const line of lines ?? []) addMimeTypes(table, line)
  }
  return table
}

async function linesOf(path: string): Promise<string[] | undefined> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const stats = await file.stat()
    if (!stats.isFile() || stats.size > MAX_TABLE_BYTES) return undefined
    const { buffer, bytesRead } = await file.read(Buffer.alloc(stats.size), 0, stats.size, 0)
    return buffer.toString('utf8', 0, bytesRead).split('\n')
  } catch {
    return undefined
  }
}

/** `50:text/x-python:*.py`, best first. */
function addGlob(table: Map<string, string>, line: string): void {
  const [weight = '', type = '', glob = ''] = line.trim().split(':')
  const extension = glob.slice(1)
  if (weight === '0' || weight.startsWith('#') || !/^\*\.[^?*[]+$/.test(glob) || table.has(extension)) return
  table.set(extension, withCharset(type))
}

/** `text/x-python py pyw # comment`; the last line for an extension counts. */
function addMimeTypes(table: Map<string, string>, line: string): void {
  const [type = '', ...extensions] = (line.split('#')[0] ?? '').trim().split(/\s+/)
  for (const extension of extensions) table.set(`.${extension}`, withCharset(type))
}

function withCharset(type: string): string {
  return type.startsWith('text/') ? `${type}; charset=utf-8` : type
}
