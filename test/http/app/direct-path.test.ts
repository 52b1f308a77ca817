import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { answerDirectly } from '../../../src/http/app/direct.ts'
import { directHealth } from '../../../src/http/routes/health.ts'
import { createAccessToken } from '../../../src/init/access-token.ts'
import { createUsers } from '../../../src/users/users.ts'
import { sendWhole } from '../../_util/http.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'

const APP = 418
const basic = (name: string) => ({ authorization: `Basic ${Buffer.from(`${name}:`).toString('base64')}` })

test.each([
  ['a usual one', 'GET', '/health', {}, 204],
  ['one with a query', 'GET', '/health?q', {}, APP],
  ['one with another method', 'DELETE', '/health', {}, APP],
  ['one for another path', 'GET', '/metrics', {}, APP],
  ['one of a user that nothing is known of', 'GET', '/health', basic('ann'), APP],
  ['one with a body in chunks', 'GET', '/health', { 'transfer-encoding': 'chunked' }, APP],
] as const)('the direct path takes usual requests only: %s (%s %s)', async (...given) => {
  const [, method, path, headers, status] = given
  await using dir = await makeTmpDir()
  const files = { passwd: join(dir.path, 'passwd'), group: join(dir.path, 'group') }
  const deps = { token: createAccessToken(), users: createUsers(files), onTokenShown: undefined, nextId: () => '1' }
  const app = answerDirectly((_request, response) => response.writeHead(APP).end(), { ...deps, routes: [directHealth] })
  await using server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  // A TCP server's address is an object.
  const { port } = server.address() as AddressInfo
  expect((await sendWhole(`http://127.0.0.1:${port}${path}`, { method, headers })).status).toBe(status)
})
