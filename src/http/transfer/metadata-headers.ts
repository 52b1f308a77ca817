import type { Metadata } from '../../filesystem/metadata.ts'

const PREFIX = 'x-metadata-'

/**
 * The metadata that a request carries: every `X-Metadata-<key>` header, keys in lower case, the first of several values
 * (contract B46).
 * @param rawHeaders names and values in turn, one character per byte.
 */
export function metadataOf(rawHeaders: readonly string[]): Metadata {
  const metadata = new Map<string, string>()
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? '').toLowerCase()
    const key = name.slice(PREFIX.length)
    if (name.startsWith(PREFIX) && key !== '' && !metadata.has(key)) metadata.set(key, rawHeaders[i + 1] ?? '')
  }
  return metadata
}
