import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { Headers } from '../_util/http.ts'
import { asUser } from '../_util/rpc.ts'
import { tarOf } from '../archives/make-tar.ts'
import { isOneOf, noTemporary, type Outcome, type Place, request, type Scenario } from './scenario.ts'

const OLD = 'old content'
const NEW = 'new content'
const BOUNDARY = 'fault'
const FORM = `--${BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="file"\r\n\r\n${NEW}\r\n--${BOUNDARY}--\r\n`
const LARGE = Buffer.alloc(300_000, NEW)

const user = asUser('user')
const octets = { ...user, 'content-type': 'application/octet-stream' }

const pathOf = ({ dir }: Place, name = 'file') => `path=${encodeURIComponent(join(dir, name))}`
const writeOld = ({ dir }: Place) => writeFileSync(join(dir, 'file'), OLD, { mode: 0o666 })
const shown = (content: string | Buffer) => `file: ${content.toString().slice(0, 64)}`

/**
 * The new file after success; after a failure the old one or none, or the new one if what failed came after the last
 * step. Nothing else, whatever fails.
 */
function whole(before: string | undefined, after: string | Buffer, ...others: readonly string[]) {
  const old = before === undefined ? [] : [shown(before)]
  const more = others.map((content) => [shown(content)])
  return (place: Place, { code }: Outcome) => isOneOf(place, [shown(after)], ...(code === 'ok' ? [] : [old, ...more]))
}

interface Upload {
  /** Behind the path. */
  readonly query?: string
  readonly body?: string | Buffer
  /** Whether there is a file before. */
  readonly old?: boolean
  readonly headers?: Headers
}

const upload = (name: string, { query = '', body = NEW, old = false, headers = {} }: Upload): Scenario => ({
  name,
  ...(old ? { prepare: writeOld } : {}),
  run: (place) =>
    request(place, `/files?${pathOf(place)}${query}`, { method: 'POST', headers: { ...octets, ...headers }, body }),
  check: query.includes('append')
    ? whole(OLD, OLD + body)
    : // In place, what cannot be written leaves the file empty.
      whole(old ? OLD : undefined, body, ...(query === '' ? [''] : [])),
})

const metadata = { 'x-metadata-key': 'value' }

/** Uploads of every kind. */
export const UPLOADS: readonly Scenario[] = [
  upload('upload of a new file', { headers: metadata }),
  upload('upload over a file', { old: true }),
  upload('large upload over a file', { body: LARGE, old: true }),
  upload('atomic upload of a new file', { query: '&mode=atomic', headers: metadata }),
  upload('atomic upload over a file', { query: '&mode=atomic&chmod=0600', old: true }),
  upload('upload with mode=create', { query: '&mode=create' }),
  upload('upload with mode=append', { query: '&mode=append', old: true }),
  {
    name: 'upload in a form',
    prepare: writeOld,
    run: (place) =>
      request(place, `/files?${pathOf(place)}`, {
        method: 'POST',
        headers: { ...user, 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
        body: FORM,
      }),
    check: whole(OLD, NEW, ''),
  },
  {
    name: 'upload into new directories',
    run: (place) =>
      request(place, `/files?${pathOf(place, 'a/b/file')}`, { method: 'POST', headers: octets, body: NEW }),
    check: (place, { code }) =>
      code === 'ok' ? isOneOf(place, ['a', 'a/b', `a/b/${shown(NEW)}`]) : noTemporary(place),
  },
  {
    name: 'resumable upload',
    run: resumable,
    async check(place, outcome) {
      // What has come may be kept until it is taken back.
      const url = locations.get(place)
      if (url !== undefined) await request(place, url, { method: 'DELETE', headers: { 'tus-resumable': '1.0.0' } })
      return whole(undefined, NEW)(place, outcome)
    },
  },
  {
    name: 'archive into a directory',
    run: (place) => unpack(place, ''),
    check: (place, { code }) => (code === 'ok' ? isOneOf(place, UNPACKED) : noTemporary(place)),
  },
  {
    name: 'archive in the place of a directory',
    prepare: ({ dir }) => mkdirSync(join(dir, 'into')),
    run: (place) => unpack(place, '&mode=replace'),
    check: (place, { code }) => isOneOf(place, UNPACKED, ...(code === 'ok' ? [] : [['into']])),
  },
]

const UNPACKED = ['into', 'into/d', 'into/d/f: content', 'into/l']
const ARCHIVE = gzipSync(
  tarOf(
    { name: 'd', type: '5', mode: 0o755 },
    { name: 'd/f', content: 'content' },
    { name: 'l', type: '2', link: 'd/f' },
  ),
)

function unpack(place: Place, query: string) {
  return request(place, `/files?${pathOf(place, 'into')}${query}`, {
    method: 'POST',
    headers: { ...user, 'content-type': 'application/gzip' },
    body: ARCHIVE,
  })
}

const locations = new WeakMap<Place, string>()

async function resumable(place: Place): Promise<Outcome> {
  const tus = { ...user, 'tus-resumable': '1.0.0' }
  const created = await request(place, `/uploads?${pathOf(place)}`, {
    method: 'POST',
    headers: { ...tus, 'upload-length': String(NEW.length) },
  })
  if (created.code !== 'ok') return created
  const url = created.headers['location'] ?? ''
  locations.set(place, url.replace(/^https?:\/\/[^/]+/, ''))
  const halves = [
    [0, NEW.slice(0, 5)],
    [5, NEW.slice(5)],
  ] as const
  for (const [offset, body] of halves) {
    const sent = await request(place, locations.get(place) ?? '', {
      method: 'PATCH',
      headers: { ...tus, 'content-type': 'application/offset+octet-stream', 'upload-offset': String(offset) },
      body,
    })
    if (sent.code !== 'ok') return sent
  }
  return created
}
