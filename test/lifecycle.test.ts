import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test, vi } from 'vitest'
import { commonDaemon } from './_util/common-daemon.ts'
import { startDaemon } from './_util/daemon.ts'
import { needsRoot } from './_util/namespace.ts'
import { call, pidOf, shell, start, transcript } from './_util/rpc.ts'
import { makeTmpDir } from './_util/tmp-dir.ts'

const common = commonDaemon()
const LAUNCHER = fileURLToPath(new URL('../scripts/envd', import.meta.url))

/** Runs the executable to its end. */
async function run(args: readonly string[], uid?: number): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawn(LAUNCHER, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '' },
    ...(uid === undefined ? {} : { uid, gid: uid }),
  })
  const ended = once(child, 'close')
  const [stdout, stderr] = await Promise.all([child.stdout.toArray(), child.stderr.toArray()])
  const [code] = await ended
  return { code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }
}

/**
 * A daemon that is started in another way than `startDaemon` does; gives its address. Killed if the test leaves it
 * behind.
 */
async function launched(file: string, args: readonly string[]) {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'ignore'], env: { PATH: process.env['PATH'] ?? '' } })
  const ended = once(child, 'close')
  let output = ''
  const url = await new Promise<string>((resolve, reject) => {
    child.once('close', () => reject(new Error(`it ended: ${output}`)))
    child.stdout.on('data', (text) => {
      output += text
      const address = /listening on (http:\/\/[\d.:]+)\n/.exec(output)?.[1]
      if (address !== undefined) resolve(address)
    })
  })
  const stop = async () => {
    child.kill('SIGTERM')
    const [code] = await ended
    return code
  }
  return { url, stdout: child.stdout, stop, [Symbol.asyncDispose]: async () => void child.kill('SIGKILL') }
}

const VERSION = /^\d+\.\d+\.\d+\n$/

test.each([[['-version']], [['--version']], [['-version=true']], [['-version', '-commit']], [['-commit', '-version']]])(
  'A1 A2 %j prints the bare version',
  async (args) => {
    const { code, stdout, stderr } = await run(args)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(VERSION)
  },
)

test('A2 -commit prints one line', async () => {
  expect(await run(['-commit'])).toEqual({ code: 0, stdout: expect.stringMatching(/^[0-9a-z]*\n$/), stderr: '' })
})

test.each([
  ['an unknown flag', ['-nonsense'], 'flag provided but not defined: -nonsense'],
  ['a port that is no number', ['-port', 'http'], 'invalid value "http" for flag -port'],
  ['a port that is none', ['-port', '65536'], 'port must be 0 to 65535'],
  ['a flag without its value', ['-port'], 'flag needs an argument: -port'],
  ['a value for a switch that is none', ['-verbose=perhaps'], 'for flag -verbose'],
])('A3 %s is reported on stderr, with the usage, and exits with 2', async (_, args, text) => {
  const { code, stdout, stderr } = await run(args)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain(text)
  expect(stderr).toContain('Usage of envd:')
  expect(stderr).toMatch(/^ {2}-port int$/m)
})

test.each(['-h', '-help', '--help'])('A1 %s prints the usage', async (flag) => {
  const { code, stderr } = await run([flag])
  expect({ code, usage: stderr.startsWith('Usage of envd:') }).toEqual({ code: 0, usage: true })
})

test('A3 a port in use is reported and exits with 1', async () => {
  await using dir = await makeTmpDir()
  const { code, stderr } = await run(['-port', String(common.port), '-address', '127.0.0.1', '-run-dir', dir.path])
  expect(code).toBe(1)
  expect(stderr).toMatch(/^server stopped: .*EADDRINUSE/m)
})

test('A4 another daemon takes the port at once, also with connections left over', async () => {
  const first = await startDaemon()
  const stream = await start(first.url, 'sleep', { args: ['1000'] })
  await pidOf(stream)
  expect(await first.stop()).toBe(0)
  await using second = await startDaemon({ port: first.port })
  expect(String((await shell(second.url, 'echo again')).stdout)).toBe('again\n')
})

test('A9 a run directory that cannot be written is reported, and the daemon goes on', async () => {
  await using dir = await makeTmpDir()
  await writeFile(join(dir.path, 'file'), '')
  await using daemon = await startDaemon({ args: ['-run-dir', join(dir.path, 'file', 'run')] })
  expect(String((await shell(daemon.url, 'echo fine')).stdout)).toBe('fine\n')
  await expect.poll(() => daemon.stdout() + daemon.stderr()).toContain('ENOTDIR')
})

test('A6 the run directory is there when the daemon says that it listens', async () => {
  const thereAtOnce = async () => {
    await using dir = await makeTmpDir()
    const runDir = join(dir.path, 'run')
    await using _ = await startDaemon({ args: ['-run-dir', runDir] })
    return existsSync(join(runDir, '.E2B_SANDBOX'))
  }
  // A machine that is busy with other tests may take longer than the daemon waits for its disk.
  await vi.waitUntil(thereAtOnce, { timeout: 25_000, interval: 0 })
})

test.each([
  ['true', ['-isnotfc=false']],
  ['false', ['-isnotfc']],
])('A10 A11 A14 the run directory and E2B_SANDBOX say %s', async (reported, args) => {
  await using dir = await makeTmpDir()
  const runDir = join(dir.path, 'run')
  await using daemon = await startDaemon({ args: ['-run-dir', runDir, ...args] })
  const file = join(runDir, '.E2B_SANDBOX')
  const mode = (path: string) => ((statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o777).toString(8)
  await expect.poll(() => mode(file)).toBe('444')
  expect(mode(runDir)).toBe('755')
  expect(await readFile(file, 'utf8')).toBe(reported)
  expect(String((await shell(daemon.url, 'echo $E2B_SANDBOX')).stdout)).toBe(`${reported}\n`)
})

test('D10 nothing of the environment of the daemon reaches a command', async () => {
  const env = {
    CANARY: 'sings',
    NODE_OPTIONS: '--no-deprecation',
    LANG: 'C.UTF-8',
    npm_config_x: '1',
    ENVD_COMMIT: 'x',
  }
  await using daemon = await startDaemon({ env })
  const { stdout } = await transcript(await start(daemon.url, '/usr/bin/env', { stdin: false }))
  const names = String(stdout)
    .trim()
    .split('\n')
    .map((line) => line.split('=')[0])
  expect(names.sort()).toEqual(['E2B_SANDBOX', 'HOME', 'LOGNAME', 'PATH', 'PWD', 'USER'])
})

test('D2 limits, signals and umask of the daemon are not those of a command', async () => {
  const { stdout } = await shell(
    common.url,
    'ulimit -Sn; umask; grep -E "^Sig(Ign|Blk|Cgt)" /proc/self/status; ls /proc/self/fd',
  )
  const own = await readFile('/proc/self/limits', 'utf8')
  expect(String(stdout)).toMatch(/^\d+\n0022\n/)
  expect(own).toContain('Max open files')
  expect(String(stdout)).toMatch(/SigBlk:\t0+\n/)
  expect(String(stdout)).toMatch(/SigIgn:\t0+\n/)
  expect(String(stdout)).toMatch(/\n0\n1\n2\n3\n$/)
})

test('A7 a signal that the parent of the daemon ignores is not ignored in commands', async () => {
  await using dir = await makeTmpDir()
  const command = `trap '' INT QUIT; exec ${LAUNCHER} -port 0 -address 127.0.0.1 -kill-on-exit -run-dir ${dir.path}`
  await using daemon = await launched('sh', ['-c', command])
  const { end } = await shell(daemon.url, 'kill -INT $$; sleep 5')
  expect(end?.status).toBe('signal: interrupt')
  expect(await daemon.stop()).toBe(0)
})

test('a stack that is too small is raised, for commands as well', async () => {
  await using daemon = await startDaemon({ launch: ['sh', '-c', 'ulimit -Ss 64 && exec "$0" "$@"', LAUNCHER] })
  expect(String((await shell(daemon.url, 'ulimit -Ss')).stdout)).toBe('2048\n')
})

test('a stack that is too small and may not be raised is reported', async (context) => {
  needsRoot(context)
  const limited = ['sh', '-c', 'ulimit -s 64 && exec "$0" "$@"', LAUNCHER] as const
  const failed = startDaemon({ launch: limited, uid: 65534 })
  await expect(failed).rejects.toThrow(/ended with 126.*a stack of 64 KiB is too small/s)
})

test('A28 the daemon goes on when its log has no reader any more', async () => {
  await using dir = await makeTmpDir()
  const args = ['-port', '0', '-address', '127.0.0.1', '-run-dir', dir.path, '-verbose']
  await using daemon = await launched(LAUNCHER, args)
  daemon.stdout.destroy()
  for (let i = 0; i < 50; i++) expect((await call(daemon.url, 'process.Process/List', {})).status).toBe(200)
  expect(await daemon.stop()).toBe(0)
})
