import { once } from 'node:events'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { crc32, createGzip, deflateRawSync } from 'node:zlib'
import { sendWhole } from '../../_util/http.ts'
import { END, entryBytes } from '../../archives/make-tar.ts'
import { type Attack, allOf, type Field, scaled } from './attack.ts'
import { unread } from './unread.ts'

const MIB = 2 ** 20

/** Entries of a tar archive, some at a time; a thousand names, so that the archive is long and its files are few. */
function* entriesOf(count: number): Generator<Buffer> {
  const names = Array.from({ length: 1000 }, (_, index) =>
    entryBytes({ name: `d${index % 10}/f${index}`, content: '' }),
  )
  const thousand = Buffer.concat(names)
  for (let left = count; left > 0; left -= names.length) yield thousand
  yield END
}

/** Sends a body of chunks to be unpacked, until the daemon has answered. */
async function unpack(field: Field, { type, body }: { type: string; body: AsyncIterable<Buffer> }): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port: field.daemon.port })
  field.held.defer(() => void socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  const answered = once(socket, 'data').catch(() => {})
  const path = encodeURIComponent(`${field.directory}/unpacked`)
  socket.write(
    `POST /files?path=${path} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n`,
  )
  await pipeline(
    async function* () {
      for await (const piece of body) {
        yield Buffer.from(`${piece.length.toString(16)}\r\n`)
        yield piece
        yield '\r\n'
      }
      yield '0\r\n\r\n'
    },
    socket,
    { end: false },
  ).catch(() => {})
  await Promise.race([answered, once(socket, 'close')])
}

interface ZipMember {
  readonly name: string
  readonly packed: Buffer
  readonly size: number
  readonly sum: number
}

/** A zip archive, whose members may have the same local header. */
function zipOf(members: readonly ZipMember[], overlapping = false): Buffer {
  const locals: Buffer[] = []
  const central: Buffer[] = []
  let at = 0
  for (const { name, packed, size, sum } of members) {
    const fields = Buffer.alloc(26)
    fields.writeUInt16LE(20, 0)
    fields.writeUInt16LE(8, 4)
    fields.writeUInt32LE(sum, 10)
    fields.writeUInt32LE(packed.length, 14)
    fields.writeUInt32LE(size, 18)
    fields.writeUInt16LE(name.length, 22)
    if (!overlapping || locals.length === 0) {
      locals.push(Buffer.from('PK\x03\x04', 'latin1'), fields, Buffer.from(name), packed)
    }
    const tail = Buffer.alloc(16)
    tail.writeUInt32LE(overlapping ? 0 : at, 12)
    central.push(Buffer.from('PK\x01\x02\x14\x00', 'latin1'), fields, tail.subarray(2), Buffer.from(name))
    at += 30 + name.length + packed.length
  }
  const start = Buffer.concat(locals).length
  const directory = Buffer.concat(central)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 'latin1')
  end.writeUInt16LE(Math.min(members.length, 0xffff), 8)
  end.writeUInt16LE(Math.min(members.length, 0xffff), 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(start, 16)
  return Buffer.concat([...locals, directory, end])
}

function memberOf(name: string, content: Buffer): ZipMember {
  return { name, packed: deflateRawSync(content, { level: 9 }), size: content.length, sum: crc32(content) }
}

function zips(name: string, archive: () => Buffer): Attack {
  return {
    name,
    run: (field) => {
      const bytes = archive()
      return allOf(scaled(16, field), 4, () =>
        sendWhole(`${field.daemon.url}/files?path=${encodeURIComponent(`${field.directory}/unpacked`)}`, {
          method: 'POST',
          headers: { 'content-type': 'application/zip' },
          body: bytes,
        }),
      )
    },
  }
}

const ZEROS = Buffer.alloc(64 * MIB)

const TUS = 'Tus-Resumable: 1.0.0\r\n'

/** Values of `Upload-Metadata`: pairs of a name and base64. */
const METADATA = [
  Array.from({ length: 400 }, (_, index) => `k${index} eA==`).join(','),
  `filename ${'A'.repeat(4000)}`,
  ','.repeat(4000),
  ' '.repeat(4000),
  `${'k '.repeat(2000)}`,
  `filename ${Buffer.from('../../x').toString('base64')}`,
  'filename =,filename ====',
  '\xff\xfe \xff',
] as const

export const uploadAttacks: readonly Attack[] = [
  {
    name: 'an archive of a million entries',
    run: (field) =>
      unpack(field, { type: 'application/x-tar', body: Readable.from(entriesOf(scaled(1_000_000, field))) }),
  },
  {
    name: 'a compressed archive of a million entries',
    run: (field) => {
      const gzip = createGzip({ level: 1 })
      Readable.from(entriesOf(scaled(1_000_000, field))).pipe(gzip)
      return unpack(field, { type: 'application/gzip', body: gzip })
    },
  },
  zips('zip archives of zeros', () => zipOf(Array.from({ length: 8 }, (_, index) => memberOf(`z${index}`, ZEROS)))),
  zips('zip archives whose members overlap', () => {
    const one = memberOf('a', ZEROS)
    return zipOf(
      Array.from({ length: 20_000 }, (_, index) => ({ ...one, name: `a${index}` })),
      true,
    )
  }),
  zips('zip archives of 20,000 entries', () => {
    const empty = memberOf('', Buffer.alloc(0))
    return zipOf(Array.from({ length: 20_000 }, (_, index) => ({ ...empty, name: `d${index % 7}/f${index % 999}` })))
  }),
  zips('zip archives of deep directories', () => {
    const deep = (index: number) => `${`d${index % 10}/`.repeat(480)}f`
    return zipOf(Array.from({ length: 1000 }, (_, index) => ({ ...memberOf('', Buffer.alloc(0)), name: deep(index) })))
  }),
  {
    name: 'resumable uploads with odd metadata',
    run: (field) =>
      allOf(scaled(8000, field), 30, (index) => {
        const path = index % 2 === 0 ? `?path=${encodeURIComponent(`${field.directory}/u${index}`)}` : ''
        const metadata = Buffer.from(`Upload-Metadata: ${METADATA[index % METADATA.length]}\r\n`, 'latin1')
        const head = `POST /uploads${path} HTTP/1.1\r\nHost: x\r\n${TUS}Upload-Length: 9\r\nContent-Length: 0\r\n`
        return unread(field, Buffer.concat([Buffer.from(head), metadata, Buffer.from('\r\n')]))
      }),
  },
  {
    name: 'joins of thousands of uploads',
    run: (field) => {
      const parts = Array.from({ length: 3000 }, (_, index) => `/uploads/${index}`).join(' ')
      const path = encodeURIComponent(`${field.directory}/joined`)
      const request = `POST /uploads?path=${path} HTTP/1.1\r\nHost: x\r\n${TUS}Upload-Concat: final;${parts}\r\n\r\n`
      return allOf(scaled(3000, field), 30, () => unread(field, request))
    },
  },
  {
    name: 'programs of upgrades that stop in the middle',
    run: (field) => {
      const head = 'POST /upgrade HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n'
      const request = Buffer.concat([Buffer.from(`${head}Content-Length: 90000000\r\n\r\n`), Buffer.alloc(500_000)])
      return allOf(scaled(500, field), 20, () => unread(field, request))
    },
  },
]
