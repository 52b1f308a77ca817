/** What the header of an entry says (pax, POSIX.1-2017). */
export interface TarHeader {
  /** As on disk; not necessarily UTF-8. */
  readonly name: Buffer
  /** Permissions and the bits above them. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Bytes of content that follow. */
  readonly size: bigint
  readonly modifiedSeconds: bigint
  readonly modifiedNanoseconds: number
  readonly type: 'file' | 'hard link' | 'link' | 'directory'
  /** The target of a link, or the name of the entry that a hard link is another name of; else empty. */
  readonly link: Buffer
}

const BLOCK_BYTES = 512
const TYPES = { file: '0', 'hard link': '1', link: '2', directory: '5' }
const MAX_NAME_BYTES = 100
/** What seven and eleven octal digits hold. */
const MAX_ID = 0o7777777
const MAX_NUMBER = 0o77777777777n

/** The end of every archive: two empty blocks. */
export const TAR_END = Buffer.alloc(2 * BLOCK_BYTES)

/** Bytes behind a content of that length, so that the next header begins at a block. */
export function tarPadding(size: number): Buffer {
  return TAR_END.subarray(0, (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES)
}

/** The header blocks of an entry, with extended ones before it for what an old header has no room for. */
export function tarHeader(header: TarHeader): Buffer {
  const records = recordsOf(header)
  const block = blockOf({ ...header, flag: TYPES[header.type] })
  if (records.length === 0) return block
  const content = Buffer.concat(records)
  const extended = blockOf({
    ...header,
    name: Buffer.from('././@PaxHeader'),
    mode: 0o644,
    link: Buffer.alloc(0),
    size: BigInt(content.length),
    flag: 'x',
  })
  return Buffer.concat([extended, content, tarPadding(content.length), block])
}

function recordsOf({ name, link, size, uid, gid, modifiedSeconds, modifiedNanoseconds }: TarHeader): Buffer[] {
  const records: Buffer[] = []
  const isText = (bytes: Buffer) => bytes.equals(Buffer.from(bytes.toString()))
  // Without this readers take names for UTF-8.
  if (!isText(name) || !isText(link)) records.push(record('hdrcharset', Buffer.from('BINARY')))
  if (needsRecord(name)) records.push(record('path', name))
  if (needsRecord(link)) records.push(record('linkpath', link))
  if (size > MAX_NUMBER) records.push(record('size', Buffer.from(String(size))))
  if (uid > MAX_ID) records.push(record('uid', Buffer.from(String(uid))))
  if (gid > MAX_ID) records.push(record('gid', Buffer.from(String(gid))))
  if (modifiedNanoseconds !== 0 || modifiedSeconds < 0n || modifiedSeconds > MAX_NUMBER)
    records.push(record('mtime', Buffer.from(timeText(modifiedSeconds, modifiedNanoseconds))))
  return records
}

function needsRecord(text: Buffer): boolean {
  return text.length > MAX_NAME_BYTES || text.some((byte) => byte > 0x7e)
}

function timeText(seconds: bigint, nanoseconds: number): string {
  const all = seconds * 1_000_000_000n + BigInt(nanoseconds)
  const [sign, size] = all < 0n ? ['-', -all] : ['', all]
  const fraction = String(size % 1_000_000_000n)
    .padStart(9, '0')
    .replace(/0+$/, '')
  return `${sign}${size / 1_000_000_000n}${fraction === '' ? '' : `.${fraction}`}`
}

/** `LENGTH KEY=VALUE\n`, where the length counts itself. */
function record(key: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')])
  let length = rest.length
  while (length !== rest.length + String(length).length) length = rest.length + String(length).length
  return Buffer.concat([Buffer.from(String(length)), rest])
}

function blockOf(header: Omit<TarHeader, 'type'> & { readonly flag: string }): Buffer {
  const { name, link, mode, uid, gid, size, modifiedSeconds, flag } = header
  const block = Buffer.alloc(BLOCK_BYTES)
  const octal = (value: number | bigint, at: number, digits: number) =>
    block.write(value.toString(8).padStart(digits, '0').slice(-digits), at, 'latin1')
  name.copy(block, 0, 0, MAX_NAME_BYTES)
  octal(mode, 100, 7)
  octal(Math.min(uid, MAX_ID), 108, 7)
  octal(Math.min(gid, MAX_ID), 116, 7)
  octal(size > MAX_NUMBER ? 0n : size, 124, 11)
  octal(modifiedSeconds < 0n || modifiedSeconds > MAX_NUMBER ? 0n : modifiedSeconds, 136, 11)
  block.fill(' ', 148, 156)
  block.write(flag, 156, 'latin1')
  link.copy(block, 157, 0, MAX_NAME_BYTES)
  block.write('ustar\x0000', 257, 'latin1')
  let sum = 0
  for (const byte of block) sum += byte
  octal(sum, 148, 6)
  block[154] = 0
  return block
}
