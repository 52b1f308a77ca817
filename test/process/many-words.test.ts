import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { StartRequestSchema, StartResponseSchema } from '../../src/gen/process/process_pb.js'
import { startDaemon } from '../_util/daemon.ts'
import { send } from '../_util/http.ts'
import { enveloped, envelopes, open } from '../_util/rpc.ts'

type Process = MessageInitShape<typeof StartRequestSchema>['process']

/** What a command has written, or the error that the call ended with. */
type Run = (url: string, process: Process) => Promise<string | { code: string; message?: string }>

const inJson: Run = async (url, process) => {
  const stream = await open(url, 'process.Process/Start', { process })
  const { messages, end } = await stream.rest()
  const pieces = messages.map(({ event }) => Buffer.from(event.data?.stdout ?? '', 'base64'))
  return end.error ?? Buffer.concat(pieces).toString()
}

const inBinary: Run = async (url, process) => {
  const request = toBinary(StartRequestSchema, create(StartRequestSchema, { process }))
  const response = await send(`${url}/process.Process/Start`, {
    method: 'POST',
    headers: { 'content-type': 'application/connect+proto', 'connect-protocol-version': '1' },
    body: enveloped(request),
  })
  let output = ''
  for await (const { flags, payload } of envelopes(response.body)) {
    if (flags !== 0) return JSON.parse(payload.toString()).error ?? output
    const event = fromBinary(StartResponseSchema, payload).event?.event
    if (event?.case === 'data' && event.value.output.case === 'stdout') output += Buffer.from(event.value.output.value)
  }
  throw new Error('the stream ended without an end frame')
}

/** `sh` tells how many words follow its first three arguments and its name. */
const counting = (count: number) => ({
  cmd: '/bin/sh',
  args: ['-c', 'echo $#', 'sh', ...Array.from({ length: count - 3 }, (_, i) => String(i))],
})

const listing = (count: number) => ({
  cmd: '/usr/bin/env',
  envs: Object.fromEntries(Array.from({ length: count }, (_, i) => [`V${i}`, String(i)])),
})

for (const [codec, run] of [
  ['JSON', inJson],
  ['binary', inBinary],
] as const) {
  test(`a command has 64,000 arguments; one with more than a message may have is refused (${codec})`, async () => {
    await using daemon = await startDaemon()
    expect(await run(daemon.url, counting(64_000))).toBe('63997\n')
    expect(await run(daemon.url, counting(66_000))).toMatchObject({
      code: 'resource_exhausted',
      message: 'the message has more than 65536 values',
    })
    expect(await run(daemon.url, counting(3))).toBe('0\n')
  })

  test(`a command has 8,000 variables; 64,000 are refused (${codec})`, async () => {
    await using daemon = await startDaemon()
    const listed = String(await run(daemon.url, listing(8_000)))
    expect(listed.split('\n').filter((line) => /^V(\d+)=\1$/.test(line)).length).toBe(8_000)
    expect(await run(daemon.url, listing(64_000))).toMatchObject({
      code: 'resource_exhausted',
      message: 'the message has more than 65536 values',
    })
    expect(String(await run(daemon.url, listing(1)))).toMatch(/^V0=0$/m)
  })
}
