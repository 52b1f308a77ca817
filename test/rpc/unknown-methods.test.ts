import { expect, test } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { sendWhole } from '../_util/http.ts'

const daemon = commonDaemon()
const long = 'x'.repeat(8_000)

test('A18 what looks like an RPC and is none is 404, however long', async () => {
  const paths = ['/a/b', '/process.Process/Nope', '/process.process/List', `/${long}/List`, `/process.Process/${long}`]
  for (const path of [...paths, '/process.Process/List/', '/process.Process//List', '/process.Process']) {
    for (const http2 of [false, true]) {
      const headers = { 'content-type': 'application/json' }
      const answer = await sendWhole(daemon.url + path, { method: 'POST', headers, body: '{}', http2 })
      expect(answer, path.slice(0, 40)).toMatchObject({ status: 404, text: '404 page not found\n' })
    }
  }
})

test('A18 a method of HTTP that no RPC takes is 405, and other paths of two parts keep their own', async () => {
  const of = async (method: string, path: string) => {
    const { status, headers } = await sendWhole(daemon.url + path, { method })
    return [status, headers['allow'] ?? '']
  }
  expect(await of('GET', '/files/compose')).toEqual([405, 'POST'])
  const [status, allow] = await of('PROPFIND', '/process.Process/List')
  expect(status).toBe(405)
  expect(allow).toContain('POST')
  expect(await of('GET', '/process.Process/List')).toEqual([405, 'POST'])
})
