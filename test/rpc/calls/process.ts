import type { MessageInitShape } from '@bufbuild/protobuf'
import { expect } from 'vitest'
import type { StreamInputRequestSchema } from '../../../src/gen/process/process_pb.js'
import { heard, started } from '../typed-clients.ts'

import { byTag, bytes, type Calls, stdin, type Visit } from './visit.ts'

async function cat({ process, tag }: Visit) {
  const { rest } = await started(process.start({ process: { cmd: 'cat' }, tag, stdin: true }))
  return heard(rest)
}

async function* typed(
  tag: string,
  texts: readonly string[],
): AsyncGenerator<MessageInitShape<typeof StreamInputRequestSchema>> {
  yield { event: { case: 'start', value: { process: byTag(tag) } } }
  yield { event: { case: 'keepalive', value: {} } }
  for (const text of texts) yield { event: { case: 'data', value: { input: stdin(text) } } }
}

export const PROCESS_CALLS: Calls = {
  'process.Process/List': async (visit) => {
    const { rest } = await started(visit.process.start({ process: { cmd: 'sleep', args: ['1000'] }, tag: visit.tag }))
    const { processes } = await visit.process.list({})
    expect(processes.find(({ tag }) => tag === visit.tag)?.config).toMatchObject({ cmd: 'sleep', args: ['1000'] })
    await visit.process.sendSignal({ process: byTag(visit.tag), signal: 9 })
    await heard(rest)
  },
  'process.Process/Connect': async (visit) => {
    const own = started(visit.process.start({ process: { cmd: 'cat' }, tag: visit.tag, stdin: true }))
    const { rest } = await own
    const other = await started(visit.process.connect({ process: byTag(visit.tag) }))
    await visit.process.sendInput({ process: byTag(visit.tag), input: stdin('both') })
    await visit.process.closeStdin({ process: byTag(visit.tag) })
    const all = await Promise.all([heard(rest), heard(other.rest)])
    expect(all.map(({ stdout, status }) => [stdout, status])).toEqual(Array(2).fill(['both', 'exit status 0']))
  },
  'process.Process/Start': async ({ process }) => {
    const args = ['-c', 'printf "$A"; printf err >&2; exit 3']
    const result = await heard(process.start({ process: { cmd: 'sh', args, envs: { A: 'é' } } }))
    const raw = Buffer.from(result.stdout, 'latin1').toString()
    expect([raw, result.stderr, result.status]).toEqual(['é', 'err', 'exit status 3'])
  },
  'process.Process/Update': async ({ process, tag }) => {
    const args = ['-c', 'read x; stty size']
    const pty = { size: { cols: 80, rows: 24 } }
    const { rest } = await started(process.start({ process: { cmd: 'sh', args }, pty, tag }))
    await process.update({ process: byTag(tag), pty: { size: { cols: 132, rows: 43 } } })
    await process.sendInput({ process: byTag(tag), input: { input: { case: 'pty', value: bytes('\n') } } })
    expect((await heard(rest)).pty).toContain('43 132')
  },
  'process.Process/StreamInput': async (visit) => {
    const result = cat(visit)
    await expect
      .poll(async () => (await visit.process.list({})).processes.some(({ tag }) => tag === visit.tag))
      .toBe(true)
    await visit.process.streamInput(typed(visit.tag, ['one ', 'two']))
    await visit.process.closeStdin({ process: byTag(visit.tag) })
    expect(await result).toMatchObject({ stdout: 'one two', status: 'exit status 0' })
  },
  'process.Process/SendInput': async ({ process, tag }) => {
    const { rest } = await started(
      process.start({ process: { cmd: 'head', args: ['-c', '180000'] }, tag, stdin: true }),
    )
    await process.sendInput({ process: byTag(tag), input: stdin('x'.repeat(180_000)) })
    expect((await heard(rest)).stdout).toBe('x'.repeat(180_000))
  },
  'process.Process/SendSignal': async ({ process, tag }) => {
    const { rest } = await started(process.start({ process: { cmd: 'sleep', args: ['1000'] }, tag }))
    await process.sendSignal({ process: byTag(tag), signal: 15 })
    expect((await heard(rest)).status).toBe('signal: terminated')
  },
  'process.Process/CloseStdin': async ({ process, tag }) => {
    const { rest } = await started(process.start({ process: { cmd: 'wc', args: ['-c'] }, tag, stdin: true }))
    await process.closeStdin({ process: byTag(tag) })
    expect((await heard(rest)).stdout.trim()).toBe('0')
  },
}
