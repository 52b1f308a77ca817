/**
 * The text of an address of 4 or 16 bytes in network order (RFC 5952). An IPv4 address mapped into IPv6
 * (::ffff:a.b.c.d) is given as the IPv4 address.
 */
export function ipText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  if (MAPPED.every((byte, index) => bytes[index] === byte)) return bytes.subarray(MAPPED.length).join('.')
  const groups: string[] = []
  for (let i = 0; i < 16; i += 2) groups.push((((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0)).toString(16))
  return shortened(groups)
}

const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255]

/** The first of the longest runs of two or more zero groups becomes `::`. */
function shortened(groups: readonly string[]): string {
  let [start, length] = [0, 1]
  for (let i = 0; i < groups.length; i++) {
    let end = i
    while (groups[end] === '0') end++
    if (end - i > length) [start, length] = [i, end - i]
    i = Math.max(i, end - 1)
  }
  if (length < 2) return groups.join(':')
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`
}
