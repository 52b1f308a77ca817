import { execFileSync } from 'node:child_process'
import { beforeAll, describe, expect, test } from 'vitest'
import { VERSION } from '../../src/version.ts'
import { inNamespace } from '../_util/namespace.ts'
import { tarOf } from '../archives/make-tar.ts'
import { type Module, type Sandbox, type Sdk, sdks, useDaemon } from './sdk.ts'

const TOKEN = 'a-token-of-the-test'
const daemon = useDaemon()

beforeAll(async () => {
  if (!inNamespace) return
  const response = await fetch(`${daemon.url}/init`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ accessToken: TOKEN, defaultUser: 'user', envVars: { FROM_INIT: 'yes' } }),
  })
  expect(response.status).toBe(204)
})

/** A sandbox as the control plane would hand it out: with an access token. */
async function secured(sdk: Sdk, token: string | undefined = TOKEN): Promise<Sandbox> {
  const { Sandbox } = await sdk.load()
  const Constructor: Module['Sandbox'] = Sandbox
  return new Constructor({
    sandboxId: 'debug_sandbox_id',
    envdVersion: VERSION,
    ...(token !== undefined && { envdAccessToken: token }),
  })
}

/** The signed URL of a path. The first releases sign only when they are told to. */
async function signed(sdk: Sdk, kind: 'uploadUrl' | 'downloadUrl', path?: string, seconds?: number): Promise<string> {
  const sandbox = await secured(sdk)
  const options = {
    ...(sdk.since('1.13.0') ? {} : { useSignature: true as const }),
    ...(seconds === undefined ? {} : { useSignatureExpiration: seconds }),
  }
  return kind === 'uploadUrl' ? sandbox.uploadUrl(path, options) : sandbox.downloadUrl(path ?? '', options)
}

function form(text: string): FormData {
  const data = new FormData()
  data.append('file', text)
  return data
}

describe.each(sdks.filter((sdk) => sdk.since('1.5.0')))('a token with e2b $version', (sdk) => {
  test('the token opens commands and files', async () => {
    const sandbox = await secured(sdk)
    expect((await sandbox.commands.run('echo $FROM_INIT')).stdout).toBe('yes\n')
    const path = `/tmp/token-${sdk.version}.txt`
    expect(await sandbox.files.write(path, 'with a token')).toMatchObject({ path })
    expect(await sandbox.files.read(path)).toBe('with a token')
    expect(await sandbox.files.exists(path)).toBe(true)
  })

  test('a wrong or missing token is refused', async () => {
    const { AuthenticationError } = await sdk.load()
    for (const token of ['wrong', undefined]) {
      const sandbox = token === undefined ? await (await sdk.load()).Sandbox.create() : await secured(sdk, token)
      await expect(sandbox.files.list('/')).rejects.toBeInstanceOf(AuthenticationError)
      await expect(sandbox.commands.list()).rejects.toBeInstanceOf(AuthenticationError)
      await expect(sandbox.files.read('/etc/hostname')).rejects.toBeInstanceOf(AuthenticationError)
    }
  })

  test('a signed URL takes a directory as an archive, and sends it as one', async () => {
    const path = `/tmp/signed-tree-${sdk.version}`
    const archive = tarOf({ name: 'd/', type: '5' }, { name: 'd/f', content: 'in a tree', mode: 0o4755 })
    const send = async (query: string) =>
      fetch(`${await signed(sdk, 'uploadUrl', path)}${query}`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-tar' },
        body: new Uint8Array(archive),
      })
    expect((await send('&mode=replace')).status).toBe(200)
    expect((await send('&owner=archive')).status).toBe(403)
    const sent = await fetch(`${await signed(sdk, 'downloadUrl', path)}&format=tar`)
    expect(sent.headers.get('content-type')).toBe('application/x-tar')
    const names = execFileSync('tar', ['-tvf', '-'], { input: new Uint8Array(await sent.arrayBuffer()) }).toString()
    expect(names).toMatch(/^-rwxr-xr-x .* d\/f$/m)
  })

  test('a signed URL uploads and downloads without a token', async () => {
    const path = `/tmp/signed ü-${sdk.version}.txt`
    const upload = await fetch(await signed(sdk, 'uploadUrl', path), { method: 'POST', body: form('signed') })
    expect(upload.status).toBe(200)
    expect(await upload.json()).toEqual([{ name: path.slice(5), type: 'file', path }])
    const download = await fetch(await signed(sdk, 'downloadUrl', path, 60))
    expect({ status: download.status, text: await download.text() }).toEqual({ status: 200, text: 'signed' })
  })

  test('a signed URL without a path uploads what the form names, below the home', async () => {
    const data = new FormData()
    const name = `named-${sdk.version}.txt`
    data.append('file', new Blob(['named']), name)
    const upload = await fetch(await signed(sdk, 'uploadUrl'), { method: 'POST', body: data })
    expect(await upload.json()).toEqual([{ name, type: 'file', path: `/home/user/${name}` }])
  })

  test('a signature is good for its path, operation and time only', async () => {
    const path = `/tmp/limits-${sdk.version}.txt`
    const url = new URL(await signed(sdk, 'downloadUrl', path))
    const other = new URL(url)
    other.searchParams.set('path', '/etc/passwd')
    const expired = await signed(sdk, 'downloadUrl', path, -120)
    const none = new URL(url)
    none.searchParams.delete('signature')
    const attempts = [
      { answer: await fetch(other), message: 'invalid signature' },
      { answer: await fetch(url, { method: 'POST', body: form('x') }), message: 'invalid signature' },
      { answer: await fetch(expired), message: 'signature is already expired' },
      { answer: await fetch(none), message: 'missing signature query parameter' },
    ]
    for (const { answer, message } of attempts) {
      expect({ status: answer.status, body: await answer.json() }).toEqual({
        status: 401,
        body: { code: 401, message },
      })
    }
  })
})
