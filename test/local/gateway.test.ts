import { afterAll, beforeAll, expect, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { type ControlPlane, startControlPlane } from './control-plane.ts'
import { createOn, tokenOf } from './sandbox.ts'

let plane: ControlPlane
beforeAll(async () => {
  plane = await startControlPlane()
})
afterAll(() => plane[Symbol.asyncDispose]())

test('a request without a sandbox’s name goes to the one whose token it shows', async () => {
  await using first = await createOn(plane, { envs: { WHICH: 'first' } })
  await using second = await createOn(plane, { envs: { WHICH: 'second' } })
  for (const [sandbox, which] of [
    [first, 'first'],
    [second, 'second'],
  ] as const) {
    const { text } = await sendWhole(`${plane.sandboxUrl}/envs`, { headers: { 'x-access-token': tokenOf(sandbox) } })
    expect(JSON.parse(text)).toMatchObject({ WHICH: which })
  }
  const wrong = await sendWhole(`${plane.sandboxUrl}/envs`, { headers: { 'x-access-token': 'another' } })
  expect([wrong.status, JSON.parse(wrong.text).message]).toEqual([502, 'The sandbox was not found'])
})

test('K27 what is between platform and daemon is reserved', async () => {
  await using sandbox = await createOn(plane)
  const headers = { 'e2b-sandbox-id': sandbox.sandboxId }
  const { status, text } = await sendWhole(`${plane.sandboxUrl}/init`, { method: 'POST', headers })
  expect([status, JSON.parse(text).message]).toEqual([
    404,
    expect.stringContaining('reserved for the E2B control plane'),
  ])
})

test.each(['::1', '127.0.0.1', '127.1.2.3', '0.0.0.0', '::'])(
  'a server that listens on %s is reached',
  async (address) => {
    await using sandbox = await createOn(plane)
    await sandbox.files.write('page', address)
    await sandbox.commands.run(`exec python3 -m http.server --bind ${address} 8126`, { background: true, timeoutMs: 0 })
    const headers = { 'e2b-sandbox-id': sandbox.sandboxId, 'e2b-sandbox-port': '8126' }
    const page = async () => (await sendWhole(`${plane.sandboxUrl}/page`, { headers })).text
    await expect.poll(page, { timeout: 15_000 }).toBe(address)
  },
)

/** Answers every request with what it was asked. */
const ECHO = `
import http.server
class Echo(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers['content-length']))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f'{self.path} {self.headers["x-access-token"]} '.encode() + body + b'\\n')
http.server.HTTPServer(('127.0.0.1', 49999), Echo).serve_forever()
`

test('N24 runs of the code interpreter reach its port, which the daemon does not have', async () => {
  await using sandbox = await createOn(plane)
  await sandbox.files.write('echo.py', ECHO)
  const headers = {
    'e2b-sandbox-id': sandbox.sandboxId,
    'e2b-sandbox-port': '49999',
    'x-access-token': tokenOf(sandbox),
    'content-type': 'application/json',
  }
  const body = '{"code":"1+1"}'
  const execute = () => sendWhole(`${plane.sandboxUrl}/execute`, { method: 'POST', headers, body })
  const closed = await execute()
  expect([closed.status, JSON.parse(closed.text).message]).toEqual([502, 'The sandbox is running but port is not open'])
  await sandbox.commands.run('exec python3 echo.py', { background: true, timeoutMs: 0 })
  await expect
    .poll(async () => (await execute()).text, { timeout: 15_000 })
    .toBe(`/execute ${tokenOf(sandbox)} ${body}\n`)
  const toDaemon = { ...headers, 'e2b-sandbox-port': '49983' }
  expect((await sendWhole(`${plane.sandboxUrl}/execute`, { method: 'POST', headers: toDaemon, body })).status).toBe(404)
})

test('N25 a refusal is JSON with an integer code, which SDKs read in answers to RPCs too', async () => {
  const headers = { 'e2b-sandbox-id': 'ino0such0sandbox', 'content-type': 'application/json' }
  const { status, text } = await sendWhole(`${plane.sandboxUrl}/process.Process/List`, {
    method: 'POST',
    headers,
    body: '{}',
  })
  expect([status, JSON.parse(text)]).toMatchObject([502, { code: 502, message: 'The sandbox was not found' }])
})
