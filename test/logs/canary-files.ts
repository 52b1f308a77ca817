import { createHash } from 'node:crypto'
import { sendWhole } from '../_util/http.ts'
import type { Target } from './canary-init.ts'

/** Puts secrets into uploads, metadata, signatures and what else is sent to `/files`. */
export async function plantInFiles(target: Target): Promise<void> {
  await upload(target)
  await sign(target)
  await compose(target)
}

const PATH = '/tmp/file-that-may-be-named'
const octets = 'application/octet-stream'

async function upload({ url, token, canaries: { plant } }: Target): Promise<void> {
  const post = (query: string, headers: Readonly<Record<string, string>>, body: string) =>
    sendWhole(`${url}/files?${query}`, { method: 'POST', headers: { 'x-access-token': token, ...headers }, body })
  const form = { 'content-type': 'multipart/form-data; boundary=xx' }
  const part = (name: string, content: string) =>
    `--xx\r\ncontent-disposition: form-data; name="file"; filename="${name}"\r\n\r\n${content}`
  await post(`path=${PATH}`, { 'content-type': octets, 'x-metadata-key': plant('metadata') }, plant('uploaded'))
  await sendWhole(`${url}/files?path=${PATH}`, { headers: { 'x-access-token': token } })
  await post(`path=${PATH}`, form, `${part('name', plant('part of a form'))}\r\n--xx--\r\n`)
  await post('', form, `${part(`/none\0/${plant('file name of a form')}`, 'a')}\r\n--xx--\r\n`)
  await post(`path=${PATH}`, form, part('name', plant('form without an end')))
  await post(`path=${PATH}`, form, plant('form without parts'))
  await post(`path=${PATH}`, { 'content-type': octets, 'content-encoding': 'gzip' }, plant('not gzip'))
  await post(`path=${PATH}`, { 'content-type': octets, 'content-encoding': plant('unknown encoding') }, 'a')
  await post(`path=${PATH}`, { 'content-type': plant('unknown type of an upload') }, 'a')
  await post('path=/proc/version', { 'content-type': octets }, plant('uploaded to where nobody may write'))
  await post('path=/tmp', { 'content-type': octets }, plant('uploaded to a directory'))
  await post(`path=${PATH}`, { 'content-type': octets, 'x-metadata-big': plant('big metadata').repeat(600) }, 'a')
  await post(`path=${PATH}&username=${plant('unknown user of a file')}`, { 'content-type': octets }, 'a')
  await post(`path=${PATH}&${plant('unknown parameter')}=${plant('its value')}`, { 'content-type': octets }, 'a')
}

async function sign({ url, token, canaries: { plant, watch } }: Target): Promise<void> {
  const digest = createHash('sha256').update(`${PATH}:read:root:${token}`).digest('base64').replaceAll('=', '')
  const good = watch('signature', `v1_${digest}`)
  watch('digest of the signature', digest)
  const get = (query: string, headers: Readonly<Record<string, string>> = {}) =>
    sendWhole(`${url}/files?path=${PATH}&username=root&${query}`, { headers })
  const answer = await get(`signature=${encodeURIComponent(good)}`)
  if (answer.status !== 200) throw new Error(`the signature is not good: ${answer.text}`)
  await get(`signature=${plant('wrong signature')}`)
  await get(`signature=${plant('signature given twice')}&signature=a`)
  await get(`signature=%ff${plant('signature that is not UTF-8')}`)
  await get(`signature=${encodeURIComponent(good)}&signature_expiration=${plant('expiration that is no number')}`)
  await get(`signature=${encodeURIComponent(good)}&signature_expiration=1`)
  await get('', { 'x-access-token': plant('wrong token for a file') })
}

async function compose({ url, token, canaries: { plant } }: Target): Promise<void> {
  const post = (body: string) =>
    sendWhole(`${url}/files/compose`, { method: 'POST', headers: { 'x-access-token': token }, body })
  await post(`{"destination": ${plant('malformed composition')}`)
  await post(JSON.stringify({ source_paths: [{ path: plant('source of a wrong type') }], destination: '/tmp/a' }))
  await post(JSON.stringify({ source_paths: [`/none/${plant('missing source')}`], destination: '/tmp/a' }))
  await post(JSON.stringify({ source_paths: [PATH], destination: `/proc/${plant('destination')}/a` }))
  await post(JSON.stringify({ source_paths: [PATH], destination: '/tmp/a', username: plant('user of a composition') }))
}
