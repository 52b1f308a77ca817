import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { expect } from 'vitest'
import { type Headers, sendWhole } from '../_util/http.ts'
import type { FilesFront } from './files-front.ts'

export const TUS = { 'tus-resumable': '1.0.0' }
export const PIECE = { ...TUS, 'content-type': 'application/offset+octet-stream' }

interface Call {
  readonly headers?: Headers
  readonly body?: Uint8Array | string
}

export function call(files: FilesFront, method: string, target: string, { headers, body }: Call = {}) {
  const options = { method, headers: { ...TUS, ...headers }, ...(body === undefined ? {} : { body }) }
  return sendWhole(`${files.front.url}${target}`, options)
}

/** Makes an upload; gives its URL. */
export async function create(files: FilesFront, query: Record<string, string>, length: number, headers: Headers = {}) {
  const target = `/uploads?${new URLSearchParams(query)}`
  const answer = await call(files, 'POST', target, { headers: { 'upload-length': String(length), ...headers } })
  expect(answer).toMatchObject({ status: 201, text: '' })
  return String(answer.headers['location'])
}

type Piece = readonly [offset: number, bytes: Uint8Array | string]

export function patch(files: FilesFront, url: string, [offset, body]: Piece, headers: Headers = {}) {
  return call(files, 'PATCH', url, { headers: { ...PIECE, 'upload-offset': String(offset), ...headers }, body })
}

export async function offsetOf(files: FilesFront, url: string): Promise<string> {
  const { status, headers } = await call(files, 'HEAD', url)
  return status === 200 ? String(headers['upload-offset']) : `status ${status}`
}

/** Whatever is left of uploads: beside their targets, and of their records. */
export async function leftovers(files: FilesFront): Promise<string[]> {
  const all = await readdir(files.dir, { recursive: true })
  return [...all.filter((name) => name.includes('.envd-')), ...(await readdir(files.records))]
}

export const sha1 = (text: string | Uint8Array) => `sha1 ${createHash('sha1').update(text).digest('base64')}`
