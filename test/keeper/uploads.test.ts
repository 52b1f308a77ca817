import { once } from 'node:events'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { crash, startKept } from './crash.ts'

const LENGTH = 1_000_000
const headers = { 'content-type': 'application/octet-stream' }

test.each(['', '&mode=overwrite', '&mode=atomic'])(
  'an upload%s that a crash breaks off fails, and nothing half-written is at the name of the file',
  async (mode) => {
    await using dir = await makeTmpDir()
    await using daemon = await startKept()
    await writeFile(join(dir.path, 'old'), 'as before')
    const broken = ['new', 'old'].map(async (name) => {
      const target = `${daemon.url}/files?username=root&path=${encodeURIComponent(join(dir.path, name))}${mode}`
      const sending = request(target, { method: 'POST', headers: { ...headers, 'content-length': LENGTH } })
      const failed = once(sending, 'error')
      sending.write(Buffer.alloc(LENGTH / 2, 'x'))
      return failed
    })
    // Both have begun: their bytes are in files of the daemon.
    const bytes = async () => {
      const names = await readdir(`/proc/${daemon.pid}/fd`)
      const sizes = names.map((name) => stat(`/proc/${daemon.pid}/fd/${name}`).catch(() => undefined))
      return (await Promise.all(sizes)).filter((found) => found?.isFile() && found.size === LENGTH / 2).length
    }
    await expect.poll(bytes).toBe(2)
    await crash(daemon)
    for (const failed of broken) expect((await failed)[0]).toBeInstanceOf(Error)
    expect(await readFile(join(dir.path, 'old'), 'utf8')).toBe('as before')
    expect(await readdir(dir.path)).not.toContain('new')
    const target = `${daemon.url}/files?username=root&path=${encodeURIComponent(join(dir.path, 'new'))}${mode}`
    expect((await sendWhole(target, { method: 'POST', headers, body: Buffer.from('whole') })).status).toBe(200)
    expect(await readFile(join(dir.path, 'new'), 'utf8')).toBe('whole')
  },
)
