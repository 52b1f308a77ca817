import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { randomBytes, reseedRandom } from '../../src/native/index.ts'
import { randomUuid, reseed } from '../../src/native/random.ts'
import { commonDaemon } from '../_util/common-daemon.ts'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { needsRoot } from '../_util/namespace.ts'
import { call } from '../_util/rpc.ts'
import { straceMissing } from '../_util/strace.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const common = commonDaemon()
const root = join(import.meta.dirname, '../..')

test('ids are UUIDs, no two alike', () => {
  const ids = Array.from({ length: 10_000 }, () => randomUuid())
  expect(new Set(ids).size).toBe(ids.length)
  const form = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
  expect(ids.filter((id) => !form.test(id))).toEqual([])
})

test('nothing random comes from memory that a snapshot holds', () => {
  const generators =
    /\b(randomUUID|randomInt|randomFill(Sync)?|getRandomValues|Math\.random)\b|\{[^}]*\brandomBytes\b[^}]*\} from 'node:crypto'/
  // The console runs in a browser and `envd ctl` as long as its command: no snapshot resumes either as a clone.
  const users = globSync('src/**/*.ts', { cwd: root, exclude: ['src/{console,ctl}/**'] }).filter((file) =>
    generators.test(readFileSync(join(root, file), 'utf8')),
  )
  // The pauses between restarts may be alike.
  expect(users).toEqual(['src/supervisor/supervisor.ts'])
})

/** The system calls of those names that the daemon makes meanwhile, one per line. */
async function traced(daemon: Pick<Daemon, 'pid'>, names: string, meanwhile: () => Promise<void>): Promise<string[]> {
  const strace = spawn('strace', ['-f', '-e', `trace=${names}`, '-p', String(daemon.pid)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let output = ''
  strace.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  await expect.poll(() => output).toContain('attached')
  await meanwhile()
  strace.kill('SIGINT')
  await once(strace, 'close')
  return output.split('\n').filter((line) => line.includes('('))
}

test('each id of a watcher is drawn from the kernel when it is made', async (context) => {
  if (straceMissing()) context.skip('needs strace')
  await using dir = await makeTmpDir()
  const make = async () => {
    const { body } = await call(common.url, 'filesystem.Filesystem/CreateWatcher', { path: dir.path })
    expect(body).toHaveProperty('watcherId')
  }
  await make()
  const calls = await traced(common, 'getrandom', async () => {
    for (let i = 0; i < 5; i++) await make()
  })
  expect(calls.filter((line) => line.includes('getrandom(')).length).toBe(5)
})

test('an initialization stirs what the host said into the random numbers of the kernel', async (context) => {
  needsRoot(context)
  if (straceMissing()) context.skip('needs strace')
  await using daemon = await startDaemon()
  const calls = await traced(daemon, 'ioctl', async () => {
    const answer = await sendWhole(`${daemon.url}/init`, {
      method: 'POST',
      body: '{"timestamp":"2026-01-01T00:00:00Z"}',
    })
    expect(answer.status).toBe(204)
  })
  expect(calls.filter((line) => /RNDRESEEDCRNG.*= 0/.test(line)).length).toBe(1)
})

test('stirring takes bytes of any length, and never fails', () => {
  for (const length of [0, 1, 100_000]) expect(reseed(Buffer.alloc(length))).toBeUndefined()
  expect(() => reseedRandom(Buffer.alloc(4), 2, 3)).toThrow()
  expect(randomBytes(0).length).toBe(0)
  expect(() => randomBytes(257)).toThrow(TypeError)
})
