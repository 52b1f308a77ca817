const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The text of bytes that must be UTF-8, as all JSON is (RFC 8259 8.1). Throws TypeError if they are not. */
export function fromUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes)
}
