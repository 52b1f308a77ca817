import { afterAll, beforeAll, expect, test } from 'vitest'
import { call, start, transcript } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { kill } from './calls.ts'
import { inParallel, startedPid } from './following.ts'

const daemon = sharedDaemon()
const pty = { cols: 80, rows: 24 }
const RUNS = 1000

/** What keeps the daemon's event loop busy meanwhile: a stream at full speed, and calls one after the other. */
let busy = true
const chores: Promise<unknown>[] = []

beforeAll(async () => {
  const stream = await start(daemon.url, 'yes')
  const pid = await startedPid(stream)
  const readFlood = async () => {
    while (busy) await stream.next()
    await kill(daemon.url, { pid })
    await stream.rest()
  }
  const callFlood = async () => {
    while (busy) await call(daemon.url, 'process.Process/List', {})
  }
  chores.push(readFlood(), callFlood(), callFlood())
})

afterAll(async () => {
  busy = false
  await Promise.all(chores)
})

const zeros = Buffer.alloc(60_000)

test.each([
  { http2: false, cmd: 'printf', args: ['x'], expected: Buffer.from('x') },
  { http2: true, cmd: 'printf', args: ['x'], expected: Buffer.from('x') },
  { http2: false, cmd: 'head', args: ['-c', '60000', '/dev/zero'], expected: zeros },
  { http2: true, cmd: 'head', args: ['-c', '60000', '/dev/zero'], expected: zeros },
])('D15 1,000 runs of $cmd $args under load are exact, http2: $http2', async ({ http2, cmd, args, expected }) => {
  await inParallel(RUNS, 32, async () => {
    const said = await transcript(await start(daemon.url, cmd, { args, http2 }))
    expect(said.stdout.equals(expected), `${said.stdout.length} bytes`).toBe(true)
    expect(said).toMatchObject({ end: { status: 'exit status 0' }, streamEnd: {} })
  })
})

test.each([
  { http2: false, cmd: 'printf', args: ['x'], expected: Buffer.from('x') },
  { http2: true, cmd: 'printf', args: ['x'], expected: Buffer.from('x') },
  { http2: false, cmd: 'head', args: ['-c', '60000', '/dev/zero'], expected: zeros },
  { http2: true, cmd: 'head', args: ['-c', '60000', '/dev/zero'], expected: zeros },
])(
  'D68 1,000 terminals with $cmd $args under load are exact, http2: $http2',
  async ({ http2, cmd, args, expected }) => {
    await inParallel(RUNS, 32, async () => {
      const said = await transcript(await start(daemon.url, cmd, { args, pty, http2 }))
      expect(said.pty.equals(expected), `${said.pty.length} bytes`).toBe(true)
      expect(said).toMatchObject({ end: { status: 'exit status 0' }, streamEnd: {} })
    })
  },
)
