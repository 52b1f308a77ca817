import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startDaemon } from '../../_util/daemon.ts'
import { sendWhole } from '../../_util/http.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'
import { tarOf } from '../../archives/make-tar.ts'

test('flags limit what an archive may hold', async () => {
  await using tmp = await makeTmpDir()
  await using daemon = await startDaemon({ args: ['-archive-max-entries', '2', '-archive-max-bytes', '10'] })
  const send = async (name: string, body: Buffer) => {
    const url = `${daemon.url}/files?${new URLSearchParams({ path: join(tmp.path, name), mode: 'create' })}`
    return (await sendWhole(url, { method: 'POST', body, headers: { 'content-type': 'application/x-tar' } })).status
  }
  const file = (name: string, content: string) => ({ name, content })
  expect(await send('few', tarOf(file('a', '12345'), file('b', '12345')))).toBe(200)
  expect(await send('many', tarOf(file('a', ''), file('b', ''), file('c', '')))).toBe(413)
  expect(await send('much', tarOf(file('a', '12345'), file('b', '123456')))).toBe(413)
  expect(existsSync(join(tmp.path, 'many')) || existsSync(join(tmp.path, 'much'))).toBe(false)
})
