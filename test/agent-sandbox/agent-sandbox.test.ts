import { createClient } from '@connectrpc/connect'
import { createGrpcTransport } from '@connectrpc/connect-node'
import { expect, test } from 'vitest'
import { MAX_EXECUTE_OUTPUT } from '../../src/agent-sandbox/service.ts'
import { ProcessService } from '../../src/gen/agent-sandbox/process_pb.js'
import { commonDaemon } from '../_util/common-daemon.ts'
import { call } from '../_util/rpc.ts'

const daemon = commonDaemon()
const client = () => createClient(ProcessService, createGrpcTransport({ baseUrl: daemon.url }))
const listed = async () => (await call(daemon.url, 'process.Process/List', {})).body
const sh = (script: string) => ({ config: { command: ['sh', '-c', script] } })

test('Execute kills the command at its deadline', async () => {
  await expect(client().execute(sh('sleep 1000'), { timeoutMs: 300 })).rejects.toMatchObject({ code: 4 })
  await expect.poll(listed).toEqual({})
})

test('Execute kills the command when its caller leaves', async () => {
  const leave = new AbortController()
  const left = client().execute(sh('sleep 1000'), { signal: leave.signal })
  await expect.poll(listed).not.toEqual({})
  leave.abort()
  await expect(left).rejects.toMatchObject({ code: 1 })
  await expect.poll(listed).toEqual({})
})

test('Execute gives output up to its limit, and refuses and ends a command with more', async () => {
  const { stdout } = await client().execute(sh(`head -c ${MAX_EXECUTE_OUTPUT} /dev/zero`))
  expect(stdout.length).toBe(MAX_EXECUTE_OUTPUT)
  await expect(client().execute(sh('cat /dev/zero'))).rejects.toMatchObject({ code: 8 })
  await expect.poll(listed).toEqual({})
})

test('Execute has no input', async () => {
  expect((await client().execute(sh('cat; exit 5'))).exitCode).toBe(5)
})

test('a command that Start began is listed, outlives its caller and can be signalled by another', async () => {
  const leave = new AbortController()
  const messages = client().start(sh('sleep 1000'), { signal: leave.signal })[Symbol.asyncIterator]()
  const first = await messages.next()
  const processId = first.value?.event.case === 'init' ? first.value.event.value.processId : 0
  leave.abort()
  await messages.next().catch(() => {})
  expect(await listed()).toMatchObject({ processes: [{ pid: processId }] })
  await client().sendSignal({ processId, signal: 15 })
  await expect.poll(listed).toEqual({})
})
