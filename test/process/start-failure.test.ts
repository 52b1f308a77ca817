import { constants } from 'node:os'
import { expect, test } from 'vitest'
import { NEVER } from '../../src/lib/never.ts'
import { SpawnFailure } from '../../src/native/index.ts'
import type { LaunchRequest } from '../../src/process/launch.ts'
import { startFailure, stdioFailure } from '../../src/process/start-failure.ts'

const request: LaunchRequest = {
  config: { cmd: '/bin/sh', args: ['-c', 'true'], envs: {}, cwd: '/tmp' },
  tag: undefined,
  replay: false,
  user: { name: 'root', uid: 0, gid: 0, home: '/root' },
  terminal: undefined,
  stdin: false,
  signal: NEVER,
}
const inTerminal = { ...request, terminal: { columns: 80, rows: 24 } }
const PIPES = "error starting process '/bin/sh -c true': fork/exec /bin/sh: "
const TERMINAL =
  "error starting pty with command '/bin/sh -c true' in dir '/tmp' with '80' cols and '24' rows: fork/exec /bin/sh: "

const EXHAUSTED = {
  EAGAIN: 'resource temporarily unavailable',
  ENOMEM: 'cannot allocate memory',
  EMFILE: 'too many open files',
  ENFILE: 'file table overflow',
  ENOSPC: 'no space left on device',
} as const

const failed = (stage: SpawnFailure['stage'], code: keyof typeof constants.errno) =>
  new SpawnFailure(stage, constants.errno[code], code, 1)

test.each(Object.entries(EXHAUSTED))('N3 a start that fails with %s is resource_exhausted', async (code, text) => {
  // A key of the table.
  const errno = code as keyof typeof EXHAUSTED
  for (const stage of ['clone', 'exec'] as const) {
    const plain = await startFailure(request, '/tmp', failed(stage, errno))
    expect(plain).toMatchObject({ kind: 'resource_exhausted', message: PIPES + text })
    const terminal = await startFailure(inTerminal, '/tmp', failed(stage, errno))
    expect(terminal).toMatchObject({ kind: 'resource_exhausted', message: TERMINAL + text })
  }
  const pipes = stdioFailure(request, Object.assign(new Error(code), { code }))
  expect(pipes.kind).toBe('resource_exhausted')
})

test('N3 any other failure stays what it was', async () => {
  const kindOf = async (stage: SpawnFailure['stage'], code: keyof typeof constants.errno) =>
    (await startFailure(request, '/tmp', failed(stage, code))).kind
  expect(await kindOf('exec', 'E2BIG')).toBe('invalid_argument')
  expect(await kindOf('chdir', 'ENOTDIR')).toBe('invalid_argument')
  expect(await kindOf('prepare', 'EINVAL')).toBe('invalid_argument')
})
