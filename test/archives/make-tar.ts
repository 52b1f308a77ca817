/** A header of a test archive; what is not given is a file of root's with 0644. */
export interface MadeEntry {
  readonly name: string | Buffer
  readonly type?: string
  readonly content?: Buffer | string
  readonly link?: string | Buffer
  readonly mode?: number
  readonly uid?: number
  readonly mtime?: number
  /** The bytes of the field for the size, instead of those of `content`. */
  readonly size?: Buffer
  /** Records of an extended header before it. */
  readonly pax?: Readonly<Record<string, string | Buffer>>
  /** Changes the header, before its checksum is made. */
  readonly change?: (block: Buffer) => void
}

export const END = Buffer.alloc(1024)

/** An archive, with its end. */
export function tarOf(...entries: MadeEntry[]): Buffer {
  return Buffer.concat([...entries.map(entryBytes), END])
}

/** One entry, with its extended header if it has one. */
export function entryBytes(entry: MadeEntry): Buffer {
  const { content = '', pax } = entry
  const bytes = Buffer.from(content)
  const parts = [headerOf(entry, bytes.length), bytes, paddingOf(bytes.length)]
  if (pax === undefined) return Buffer.concat(parts)
  const records = Buffer.concat(Object.entries(pax).map(([key, value]) => recordOf(key, Buffer.from(value))))
  const extended = headerOf({ name: '././@PaxHeader', type: 'x' }, records.length)
  return Buffer.concat([extended, records, paddingOf(records.length), ...parts])
}

/** `LENGTH KEY=VALUE\n`. */
export function recordOf(key: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`, 'latin1'), value, Buffer.from('\n')])
  let length = rest.length
  while (length !== rest.length + String(length).length) length = rest.length + String(length).length
  return Buffer.concat([Buffer.from(String(length)), rest])
}

function paddingOf(length: number): Buffer {
  return Buffer.alloc((512 - (length % 512)) % 512)
}

function headerOf(entry: MadeEntry, length: number): Buffer {
  const { name, type = '0', link = '', mode = 0o644, uid = 0, mtime = 1_000_000_000, size, change } = entry
  const block = Buffer.alloc(512)
  const octal = (value: number, at: number, digits: number) => block.write(value.toString(8).padStart(digits, '0'), at)
  Buffer.from(name).copy(block, 0, 0, 100)
  octal(mode, 100, 7)
  octal(uid, 108, 7)
  octal(uid, 116, 7)
  octal(length, 124, 11)
  size?.copy(block, 124)
  octal(mtime, 136, 11)
  block.write(type, 156)
  Buffer.from(link).copy(block, 157, 0, 100)
  block.write('ustar\x0000', 257, 'latin1')
  change?.(block)
  block.fill(' ', 148, 156)
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    6,
  )
  block[154] = 0
  return block
}
