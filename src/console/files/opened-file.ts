import type { FilesApi } from './api.ts'
import type { Entry } from './entry.ts'
import { FileFailure, textOf } from './failure.ts'
import { formatBytes } from './format.ts'

/** Files that are edited are in memory some times over; a larger one is shown in part. */
const MAX_EDITED = 4 * 1024 * 1024
const MAX_IMAGE = 32 * 1024 * 1024
/** Of a file that is too large to be edited. */
const SHOWN_LINES = 2000

/** What is shown of a file. */
export type OpenedFile =
  | { readonly kind: 'loading' }
  | { readonly kind: 'failed'; readonly failure: string }
  | { readonly kind: 'other'; readonly reason: string }
  | { readonly kind: 'image'; readonly image: Blob }
  | OpenedText

/** A text; `partial` says why it cannot be edited. */
export interface OpenedText {
  readonly kind: 'text'
  readonly text: string
  /** Undefined: the file has none, as in /proc. */
  readonly tag: string | undefined
  readonly partial?: string
}

const IMAGES: Readonly<Record<string, string>> = {
  ...{ png: 'image/png', jpg: 'image/jpeg', jpeg: 'image/jpeg', gif: 'image/gif', webp: 'image/webp' },
  ...{ avif: 'image/avif', bmp: 'image/bmp', ico: 'image/x-icon', svg: 'image/svg+xml' },
}

/** The media type of an image by its name; undefined: it is none. */
export function imageType(name: string): string | undefined {
  return IMAGES[name.slice(name.lastIndexOf('.') + 1).toLowerCase()]
}

/**
 * Reads a file to be shown; never rejects but for the signal. An SVG is an image as any other: in an `<img>` no script
 * of it runs and nothing is loaded.
 * @param asText also of an image.
 */
export async function openFile(
  api: Pick<FilesApi, 'read' | 'files'>,
  { path, name, kind }: Pick<Entry, 'path' | 'name' | 'kind'>,
  { signal, asText }: { readonly signal: AbortSignal; readonly asText: boolean },
): Promise<OpenedFile> {
  if (kind === 'other') return { kind: 'other', reason: 'This is no regular file: there is nothing to show.' }
  const type = asText ? undefined : imageType(name)
  try {
    if (type === undefined) return await openText(api, path, signal)
    const { bytes } = await api.read(path, MAX_IMAGE, signal)
    return { kind: 'image', image: new Blob([bytes], { type }) }
  } catch (error) {
    signal.throwIfAborted()
    return { kind: 'failed', failure: textOf(error) }
  }
}

async function openText(api: Pick<FilesApi, 'read' | 'files'>, path: string, signal: AbortSignal): Promise<OpenedFile> {
  const content = await api.read(path, MAX_EDITED, signal).catch((error: unknown) => {
    if (error instanceof FileFailure && error.status === 413) return undefined
    throw error
  })
  if (content === undefined) return openPart(api, path, signal)
  const text = decode(content.bytes)
  if (text === undefined) return { kind: 'other', reason: `Not a text: ${formatBytes(content.bytes.length)} of bytes.` }
  return { kind: 'text', text, tag: content.tag }
}

/** Text as it is, byte order mark included; undefined: it is not UTF-8, or has zero bytes. */
export function decode(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    return text.includes('\0') ? undefined : text
  } catch {
    return undefined
  }
}

async function openPart(api: Pick<FilesApi, 'files'>, path: string, signal: AbortSignal): Promise<OpenedFile> {
  const { lines } = await api.files.readLines({ path, count: SHOWN_LINES }, { signal })
  if (lines.some(({ text }) => text.includes('\0')))
    return { kind: 'other', reason: `Not a text, and larger than ${formatBytes(MAX_EDITED)}.` }
  const partial = `The first ${lines.length} lines of a file larger than ${formatBytes(MAX_EDITED)}; read only.`
  return { kind: 'text', text: lines.map(({ text }) => text).join('\n'), tag: undefined, partial }
}

/** What ends the lines of a text: CRLF only if every line feed has a carriage return, so that saving keeps the rest. */
export function lineEnd(text: string): '\n' | '\r\n' {
  const feeds = text.split('\n').length - 1
  return feeds > 0 && text.split('\r\n').length - 1 === feeds ? '\r\n' : '\n'
}
