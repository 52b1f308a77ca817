/** How many bytes at the start of a file determine its type. */
export const SNIFF_BYTES = 512

const TEXT = 'text/plain; charset=utf-8'
const BINARY = 'application/octet-stream'

/** A file begins with these bytes; `?` stands for any byte. One character per byte. */
const SIGNATURES: readonly (readonly [string, string])[] = [
  ['%PDF-', 'application/pdf'],
  ['%!PS-Adobe-', 'application/postscript'],
  ['\xfe\xff', 'text/plain; charset=utf-16be'],
  ['\xff\xfe', 'text/plain; charset=utf-16le'],
  ['\xef\xbb\xbf', TEXT],
  ['\x00\x00\x01\x00', 'image/x-icon'],
  ['\x00\x00\x02\x00', 'image/x-icon'],
  ['BM', 'image/bmp'],
  ['GIF87a', 'image/gif'],
  ['GIF89a', 'image/gif'],
  ['RIFF????WEBPVP', 'image/webp'],
  ['\x89PNG\r\n\x1a\n', 'image/png'],
  ['\xff\xd8\xff', 'image/jpeg'],
  ['FORM????AIFF', 'audio/aiff'],
  ['ID3', 'audio/mpeg'],
  ['OggS\x00', 'application/ogg'],
  ['MThd\x00\x00\x00\x06', 'audio/midi'],
  ['RIFF????AVI ', 'video/avi'],
  ['RIFF????WAVE', 'audio/wave'],
  ['\x1a\x45\xdf\xa3', 'video/webm'],
  ['\x00\x01\x00\x00', 'font/ttf'],
  ['OTTO', 'font/otf'],
  ['ttcf', 'font/collection'],
  ['wOFF', 'font/woff'],
  ['wOF2', 'font/woff2'],
  ['\x1f\x8b\x08', 'application/x-gzip'],
  ['PK\x03\x04', 'application/zip'],
  ['Rar!\x1a\x07\x00', 'application/x-rar-compressed'],
  ['Rar!\x1a\x07\x01\x00', 'application/x-rar-compressed'],
  ['\x00asm', 'application/wasm'],
]

/** Tags that begin an HTML page when a space or `>` follows. */
const HTML =
  /^(?:<!DOCTYPE HTML|<HTML|<HEAD|<SCRIPT|<IFRAME|<H1|<DIV|<FONT|<TABLE|<A|<STYLE|<TITLE|<B|<BODY|<BR|<P|<!--)[ >]/i

/** Bytes that no text has (WHATWG mimesniff 3). */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const BINARY_BYTE = /[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]/

/**
 * Guesses a media type from the first bytes of a file, as the WHATWG rules for sniffing do. Only the first 512 bytes
 * count; none at all are text. Never fails: `application/octet-stream` is the last resort.
 */
export function sniffContentType(bytes: Buffer): string {
  const head = bytes.toString('latin1', 0, SNIFF_BYTES)
  const start = head.replace(/^[\t\n\f\r ]+/, '')
  if (HTML.test(start)) return 'text/html; charset=utf-8'
  if (start.startsWith('<?xml')) return 'text/xml; charset=utf-8'
  const known = SIGNATURES.find(([signature]) => matches(head, signature))
  if (known !== undefined) return known[1]
  if (isMp4(bytes.subarray(0, SNIFF_BYTES))) return 'video/mp4'
  return BINARY_BYTE.test(head) ? BINARY : TEXT
}

function matches(head: string, signature: string): boolean {
  if (head.length < signature.length) return false
  for (let i = 0; i < signature.length; i++) if (signature[i] !== '?' && signature[i] !== head[i]) return false
  return true
}

/** A box of type `ftyp` with a brand that begins with `mp4` (mimesniff 6.2.1). */
function isMp4(head: Buffer): boolean {
  if (head.length < 12) return false
  const size = head.readUInt32BE(0)
  if (size > head.length || size % 4 !== 0 || head.toString('latin1', 4, 8) !== 'ftyp') return false
  for (let at = 8; at < size; at += 4) {
    if (at !== 12 && head.toString('latin1', at, at + 3) === 'mp4') return true
  }
  return false
}
