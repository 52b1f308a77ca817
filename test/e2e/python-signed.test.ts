import { execFile, execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { needsNamespace } from '../_util/namespace.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { useDaemon } from './sdk.ts'

const TOKEN = 'a-token-of-the-test'
const script = fileURLToPath(new URL('./python/signed.py', import.meta.url))
const environment = fileURLToPath(new URL('../../.cache/python/latest', import.meta.url))
const daemon = useDaemon()

test('B6 N39 URLs that the Python SDK has signed fetch and send a directory as an archive', async (context) => {
  needsNamespace(context)
  if (!existsSync(`${environment}/installed.txt`)) context.skip('no Python SDK')
  const answer = await fetch(`${daemon.url}/init`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ accessToken: TOKEN, defaultUser: 'user' }),
  })
  expect(answer.status).toBe(204)
  await using dir = await makeTmpDir(0o777)
  await mkdir(join(dir.path, 'tree/in'), { recursive: true })
  await writeFile(join(dir.path, 'tree/in/file'), 'content')
  await chmod(join(dir.path, 'tree/in/file'), 0o754)
  await symlink('in/file', join(dir.path, 'tree/link'))
  const run = promisify(execFile)(`${environment}/bin/python`, [script, TOKEN, dir.path], { timeout: 60_000 })
  expect(JSON.parse((await run).stdout)).toEqual([200, 200, 409, 401, 401])
  for (const copy of ['fetched', 'sent'])
    execFileSync('diff', ['-r', '--no-dereference', join(dir.path, 'tree'), join(dir.path, copy)])
  expect(await stat(join(dir.path, 'sent/in/file'))).toMatchObject({ mode: 0o100754, uid: 1000 })
})
