import { expect, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { startControlPlane } from './control-plane.ts'

const EVIL = 'https://evil.example'
const CLIENT = { 'x-api-key': 'any', 'content-type': 'application/json' }

test('the control plane and the gateway refuse web pages of other origins and foreign host names', async () => {
  await using plane = await startControlPlane()
  const body = '{"templateID":"base"}'
  const create = async (path: string, headers: Record<string, string>) =>
    sendWhole(plane.apiUrl + path, { method: 'POST', body, headers: { ...CLIENT, ...headers } })
  for (const headers of [{ origin: EVIL }, { origin: 'null' }, { host: 'rebound.evil.example' }]) {
    expect((await create('/sandboxes', headers)).status).toBe(403)
    expect((await create('/unknown', headers)).status).toBe(403)
  }
  const open = JSON.parse((await create('/sandboxes', {})).text)
  const secure = JSON.parse((await create('/v2/sandboxes', {})).text)

  const ask = async (id: string, port: string, headers: Record<string, string>) =>
    (
      await sendWhole(`${plane.sandboxUrl}/envs`, {
        headers: { 'e2b-sandbox-id': id, 'e2b-sandbox-port': port, ...headers },
      })
    ).status
  expect(await ask(open.sandboxID, '49983', {})).toBe(200)
  expect(await ask(open.sandboxID, '49983', { origin: 'http://localhost:5173' })).toBe(200)
  for (const headers of [{ origin: EVIL }, { host: 'rebound.evil.example' }]) {
    expect(await ask(open.sandboxID, '49983', headers)).toBe(403)
    expect(await ask('unknown', '49983', headers)).toBe(403)
    // A token protects the daemon alone.
    expect(await ask(secure.sandboxID, '1', headers)).toBe(403)
    const token = { 'x-access-token': secure.envdAccessToken }
    expect(await ask(secure.sandboxID, '49983', { ...headers, ...token })).toBe(200)
  }
})
