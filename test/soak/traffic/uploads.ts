import { readdir, stat } from 'node:fs/promises'
import { request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { send, sendWhole } from '../../_util/http.ts'
import { untilAnswered } from '../../keeper/exact-follower.ts'
import { check, type Field, ok, type Traffic } from '../field.ts'
import { cleaned } from './remove.ts'

/** The value of `format=` and the type. */
type Format = readonly [string, string]

const TUS = { 'tus-resumable': '1.0.0' }
const RAW = { 'content-type': 'application/octet-stream' }
const FORMATS: readonly [Format, ...Format[]] = [
  ['tar', 'application/x-tar'],
  ['tar.gz', 'application/gzip'],
  ['zip', 'application/zip'],
]
const fileUrl = (field: Field, name: string, more = '') =>
  `${field.url}/files?path=${encodeURIComponent(`${field.dir}/${name}`)}${more}`

function content({ random }: Field): Buffer {
  return Buffer.alloc(1 + random.int(300_000), random.bytes(97))
}

async function put(field: Field, name: string, body: Uint8Array, more = ''): Promise<void> {
  const answer = await sendWhole(fileUrl(field, name, more), { method: 'POST', headers: RAW, body })
  check(answer.status === 200, `upload${more}`, answer.text)
}

async function isThere(field: Field, name: string, wanted: Uint8Array): Promise<void> {
  const { status, body } = await sendWhole(fileUrl(field, name))
  check(status === 200 && body.equals(wanted), 'download', { status, length: body.length, wanted: wanted.length })
}

async function raw(field: Field, id: string, mode: string): Promise<void> {
  const first = content(field)
  await put(field, id, Buffer.from('old content'))
  await put(field, id, first, mode)
  await isThere(field, id, mode === '&mode=append' ? Buffer.concat([Buffer.from('old content'), first]) : first)
}

async function form(field: Field, id: string): Promise<void> {
  const body = content(field)
  const form = new FormData()
  form.append('file', new Blob([new Uint8Array(body)]), `${field.dir}/${id}`)
  const answer = await fetch(`${field.url}/files`, { method: 'POST', body: form })
  check(answer.status === 200, 'form', await answer.text())
  await isThere(field, id, body)
}

/** An upload whose client stalls and then is gone: nothing may have the name. */
async function cut(field: Field, id: string): Promise<void> {
  const headers = { ...RAW, 'content-length': '500000' }
  const sending = request(fileUrl(field, id), { method: 'POST', headers })
  sending.on('error', () => {})
  sending.write(Buffer.alloc(field.random.int(200_000)))
  await delay(200 + field.random.int(1000))
  sending.destroy()
  await delay(100)
  const found = await stat(`${field.dir}/${id}`).then(
    () => true,
    () => false,
  )
  check(!found, 'an upload that was cut off has its name')
}

async function resumable(field: Field, id: string, whole: boolean): Promise<void> {
  const body = content(field)
  const half = Math.floor(body.length / 2)
  const where = new URLSearchParams({ path: `${field.dir}/${id}` })
  const made = { ...TUS, 'upload-length': String(body.length) }
  const begins = { method: 'POST', headers: made }
  const { status, headers, text } = await sendWhole(`${field.url}/uploads?${where}`, begins)
  check(status === 201, 'upload begins', text)
  const url = new URL(headers['location'] ?? '', field.url).href
  try {
    const piece = async (from: number, bytes: Uint8Array) => {
      const more = { ...TUS, 'upload-offset': String(from), 'content-type': 'application/offset+octet-stream' }
      const answer = await sendWhole(url, { method: 'PATCH', headers: more, body: bytes })
      check(answer.status === 204, 'piece', answer.text)
    }
    await piece(0, body.subarray(0, half))
    const asked = await sendWhole(url, { method: 'HEAD', headers: TUS })
    check(asked.headers['upload-offset'] === String(half), 'offset', asked.headers)
    if (!whole) return
    await piece(half, body.subarray(half))
    await isThere(field, id, body)
  } finally {
    await untilAnswered(() => sendWhole(url, { method: 'DELETE', headers: TUS }))
  }
}

/**
 * Ends the uploads that are unfinished, and returns how many there were. The answer to the beginning of one was lost
 * when the daemon was exchanged: its client cannot know it, and the daemon keeps it for a day.
 * @param records directory of `-upload-dir`
 */
export async function endUnfinished(url: string, records: string): Promise<number> {
  const ids = (await readdir(records)).map((name) => name.replace(/\.json$/, ''))
  for (const id of ids) {
    const { status, text } = await sendWhole(`${url}/uploads/${id}`, { method: 'DELETE', headers: TUS })
    check(status === 204, 'unfinished upload', text)
  }
  return ids.length
}

async function archives(field: Field, id: string): Promise<void> {
  const body = content(field)
  await put(field, `${id}/a/one`, body)
  await put(field, `${id}/two`, body)
  const [format, type] = field.random.pick(FORMATS)
  const archive = await sendWhole(fileUrl(field, id, `&format=${format}`))
  check(archive.status === 200, 'archive', archive.text)
  const headers = { 'content-type': type }
  const answer = await sendWhole(fileUrl(field, `${id}.out`), { method: 'POST', headers, body: archive.body })
  check(answer.status === 200, 'unpack', answer.text)
  const { entries = [] } = await ok<{ entries?: { name: string }[] }>(field, 'filesystem.Filesystem/ListDir', {
    path: `${field.dir}/${id}.out`,
    depth: 5,
  })
  check(entries.some(({ name }) => name === 'one') && entries.some(({ name }) => name === 'two'), 'unpacked', entries)
}

async function left(field: Field, id: string): Promise<void> {
  await put(field, id, Buffer.alloc(3_000_000, id))
  const response = await send(fileUrl(field, id))
  response.body.on('error', () => {})
  if (field.random.chance(0.5)) await delay(1000)
  response.close()
  const part = await sendWhole(fileUrl(field, id), { headers: { range: 'bytes=5-104' } })
  check(part.status === 206 && part.body.length === 100, 'range', part.status)
}

/** Uploads and downloads of each kind, with clients that stall and leave. */
export const UPLOADS: readonly Traffic[] = [
  cleaned('an upload', (field, id) => raw(field, id, '')),
  cleaned('an upload in one step', (field, id) => raw(field, id, '&mode=atomic')),
  cleaned('an upload to the end of a file', (field, id) => raw(field, id, '&mode=append')),
  cleaned('a form', form),
  cleaned('an upload that stalls and is cut off', cut),
  cleaned('a resumable upload', (field, id) => resumable(field, id, true)),
  cleaned('a resumable upload that is given up', (field, id) => resumable(field, id, false)),
  cleaned('an archive, packed and unpacked', archives),
  cleaned('a download whose client leaves', left),
]
