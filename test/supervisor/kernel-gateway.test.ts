import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { call } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { freePort } from './free-port.ts'

/** Made by `scripts/python-environments`. */
const ENVIRONMENT = fileURLToPath(new URL('../../.cache/python/kernel-gateway', import.meta.url))

function missing(): string | undefined {
  if (existsSync(`${ENVIRONMENT}/installed.txt`)) return undefined
  const reason = `${ENVIRONMENT}.unavailable`
  return existsSync(reason) ? readFileSync(reason, 'utf8').trim() : 'scripts/python-environments was not run'
}

/** Runs Python code in a new kernel of the gateway; gives the text of its result. */
async function evaluate(port: number, code: string): Promise<string> {
  const { text } = await sendWhole(`http://127.0.0.1:${port}/api/kernels`, { method: 'POST', body: '{}' })
  const socket = new WebSocket(`ws://127.0.0.1:${port}/api/kernels/${JSON.parse(text).id}/channels`)
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  socket.onerror = () => reject(new Error('the connection to the kernel failed'))
  socket.onclose = () => reject(new Error('the kernel left'))
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data)
    if (message.msg_type === 'execute_result') resolve(message.content.data['text/plain'])
  }
  socket.onopen = () => {
    const header = { msg_id: '1', username: '', session: 'test', msg_type: 'execute_request', version: '5.3' }
    const options = { silent: false, store_history: false, user_expressions: {}, allow_stdin: false }
    const content = { code, ...options }
    socket.send(JSON.stringify({ header, parent_header: {}, metadata: {}, channel: 'shell', content }))
  }
  return promise.finally(() => socket.close())
}

test('a Jupyter kernel gateway as a start command becomes ready, runs code, and stops cleanly', async (context) => {
  const reason = missing()
  if (reason !== undefined) context.skip(`no Jupyter kernel gateway: ${reason}`)
  await using dir = await makeTmpDir()
  const port = await freePort()
  const program = `'${ENVIRONMENT}/bin/jupyter-kernelgateway'`
  const args = [
    '-isnotfc',
    '-start-cmd',
    `exec ${program} --KernelGatewayApp.ip=127.0.0.1 --KernelGatewayApp.port=${port}`,
    '-ready-cmd',
    `curl -sf localhost:${port}/api`,
    '-start-env',
    `HOME=${dir.path}`,
  ]
  await using daemon = await startDaemon({ args })
  const isReady = async () => (await sendWhole(`${daemon.url}/ready`)).status
  await expect.poll(isReady, { timeout: 50_000 }).toBe(204)
  expect(await evaluate(port, 'sum(range(101))')).toBe('5050')
  const { body } = await call(daemon.url, 'supervisor.Supervisor/Stop', {})
  expect(body).toMatchObject({ status: { state: 'STATE_STOPPED' } })
  await expect(sendWhole(`http://127.0.0.1:${port}/api`)).rejects.toThrow('ECONNREFUSED')
}, 60_000)
