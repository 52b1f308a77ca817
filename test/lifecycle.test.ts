import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { startDaemon } from './_util/daemon.ts'
import { sendWhole } from './_util/http.ts'
import { call, enveloped, type ProcessMessage, type Stream, shell, start, transcript } from './_util/rpc.ts'
import { makeTmpDir } from './_util/tmp-dir.ts'

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

/** A daemon that is started in another way than `startDaemon` does; gives its address. Killed if the test leaves it behind. */
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

async function pidOf(stream: Stream<ProcessMessage>): Promise<number> {
  return (await stream.next()).event.start?.pid ?? 0
}

/** Also a zombie counts as alive. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
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
])('A3 %s is told on stderr, with the usage, and exits with 2', async (_, args, text) => {
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

test('A3 a port in use is told and exits with 1', async () => {
  await using daemon = await startDaemon()
  await using dir = await makeTmpDir()
  const { code, stderr } = await run(['-port', String(daemon.port), '-address', '127.0.0.1', '-run-dir', dir.path])
  expect(code).toBe(1)
  expect(stderr).toMatch(/^server stopped: .*EADDRINUSE/m)
})

test.each(['SIGTERM', 'SIGINT'] as const)(
  'A7 %s ends streams with unavailable and the daemon with 0',
  async (signal) => {
    await using daemon = await startDaemon()
    const { url } = daemon
    const streams = [
      await start(url, 'sleep', { args: ['1000'] }),
      await start(url, 'sleep', { args: ['1000'], http2: true }),
    ]
    for (const stream of streams) await pidOf(stream)
    process.kill(daemon.pid, signal)
    for (const stream of streams) {
      const { messages, end } = await stream.rest()
      expect({ messages, code: end.error?.code }).toEqual({ messages: [], code: 'unavailable' })
    }
    await expect(sendWhole(`${url}/health`)).rejects.toThrow(/ECONNREFUSED|ECONNRESET|hang up/)
    expect(await daemon.stop()).toBe(0)
  },
)

test('A7 D73 running commands survive the daemon', async () => {
  await using daemon = await startDaemon({ args: ['-kill-on-exit=false'] })
  await using dir = await makeTmpDir()
  const script = `trap 'echo term > ${dir.path}/signal' TERM HUP; echo up; while [ ! -e ${dir.path}/go ]; do sleep 0.05; done; echo done > ${dir.path}/done`
  const stream = await start(daemon.url, 'sh', { args: ['-c', script] })
  const pid = await pidOf(stream)
  await stream.next()
  expect(await daemon.stop()).toBe(0)
  expect(isAlive(pid)).toBe(true)
  await writeFile(join(dir.path, 'go'), '')
  await expect.poll(() => readFile(join(dir.path, 'done'), 'utf8').catch(() => '')).toBe('done\n')
  await expect(stat(join(dir.path, 'signal'))).rejects.toThrow('ENOENT')
})

test('A7 with -kill-on-exit commands end with the daemon, also those that ignore SIGTERM', async () => {
  await using daemon = await startDaemon({ args: ['-kill-on-exit'] })
  const obstinate = await start(daemon.url, 'sh', {
    args: ['-c', 'trap "" TERM HUP; echo up; while :; do sleep 1; done'],
  })
  const ordinary = await start(daemon.url, 'sleep', { args: ['1000'] })
  const pids = [await pidOf(obstinate), await pidOf(ordinary)]
  await obstinate.next()
  expect(await daemon.stop()).toBe(0)
  await expect.poll(() => pids.map(isAlive)).toEqual([false, false])
})

test.each([
  ['HTTP/1.1', false],
  ['HTTP/2', true],
])('A7 100 open streams over %s all get their last frame within the 5 s to the end', async (_, http2) => {
  await using daemon = await startDaemon()
  const streams = await Promise.all(
    Array.from({ length: 100 }, () => start(daemon.url, 'sleep', { args: ['1000'], http2 })),
  )
  await Promise.all(streams.map(pidOf))
  const before = performance.now()
  const code = daemon.stop()
  const ends = await Promise.all(streams.map((stream) => stream.rest()))
  expect(new Set(ends.map(({ end }) => end.error?.code))).toEqual(new Set(['unavailable']))
  expect(await code).toBe(0)
  expect(performance.now() - before).toBeLessThan(5000)
})

test('A7 100 calls on one HTTP/2 connection and clients that never read do not hold the daemon up', async () => {
  await using daemon = await startDaemon()
  const session = connectHttp2(daemon.url)
  session.on('error', () => {})
  const body = enveloped(Buffer.from('{"process":{"cmd":"yes"}}'))
  const headers = { ':method': 'POST', ':path': '/process.Process/Start', 'content-type': 'application/connect+json' }
  for (let i = 0; i < 50; i++) {
    const stream = session.request(headers)
    stream.on('error', () => {})
    const answered = once(stream, 'response')
    stream.end(body)
    await answered
  }
  for (let i = 0; i < 20; i++) {
    const socket = connect(daemon.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(
      `POST /process.Process/Start HTTP/1.1\r\nhost: x\r\ncontent-type: application/connect+json\r\ncontent-length: ${body.length}\r\n\r\n`,
    )
    socket.write(body)
    await once(socket, 'readable')
  }
  const before = performance.now()
  expect(await daemon.stop()).toBe(0)
  expect(performance.now() - before).toBeLessThan(5000)
  session.destroy()
})

test('A7 a connection that only just began, or idles, does not hold the daemon up', async () => {
  await using daemon = await startDaemon()
  const openers = [
    '',
    'P',
    'PRI * HTTP/2.0\r\n',
    'GET /health HTTP/1.1\r\nhost: x\r\n',
    'GET /health HTTP/1.1\r\nhost: x\r\n\r\n',
  ]
  for (const opener of openers) {
    const socket = connect(daemon.port, '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    socket.write(opener)
  }
  await sendWhole(`${daemon.url}/health`)
  const before = performance.now()
  expect(await daemon.stop()).toBe(0)
  expect(performance.now() - before).toBeLessThan(5000)
})

test('A4 another daemon takes the port at once, also with connections left over', async () => {
  const first = await startDaemon()
  const stream = await start(first.url, 'sleep', { args: ['1000'] })
  await pidOf(stream)
  expect(await first.stop()).toBe(0)
  await using second = await startDaemon({ port: first.port })
  expect(String((await shell(second.url, 'echo again')).stdout)).toBe('again\n')
})

test('A9 a run directory that cannot be written is told, and the daemon goes on', async () => {
  await using dir = await makeTmpDir()
  await writeFile(join(dir.path, 'file'), '')
  await using daemon = await startDaemon({ args: ['-run-dir', join(dir.path, 'file', 'run')] })
  expect(String((await shell(daemon.url, 'echo fine')).stdout)).toBe('fine\n')
  await expect.poll(() => daemon.stdout() + daemon.stderr()).toContain('ENOTDIR')
})

test('A6 the run directory is there before anything is answered', async () => {
  await using dir = await makeTmpDir()
  const runDir = join(dir.path, 'run')
  await using daemon = await startDaemon({ args: ['-run-dir', runDir] })
  expect(await readFile(join(runDir, '.E2B_SANDBOX'), 'utf8')).toBe('false')
  expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
})

test.each([
  ['true', ['-isnotfc=false']],
  ['false', ['-isnotfc']],
])('A10 A11 A14 the run directory and E2B_SANDBOX say %s', async (told, args) => {
  await using dir = await makeTmpDir()
  const runDir = join(dir.path, 'run')
  await using daemon = await startDaemon({ args: ['-run-dir', runDir, ...args] })
  expect(await readFile(join(runDir, '.E2B_SANDBOX'), 'utf8')).toBe(told)
  expect(((await stat(join(runDir, '.E2B_SANDBOX'))).mode & 0o777).toString(8)).toBe('444')
  expect(((await stat(runDir)).mode & 0o777).toString(8)).toBe('755')
  expect(String((await shell(daemon.url, 'echo $E2B_SANDBOX')).stdout)).toBe(`${told}\n`)
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
  await using daemon = await startDaemon()
  const { stdout } = await shell(
    daemon.url,
    'ulimit -Sn; umask; grep -E "^Sig(Ign|Blk|Cgt)" /proc/self/status; ls /proc/self/fd',
  )
  const own = await readFile('/proc/self/limits', 'utf8')
  expect(String(stdout)).toMatch(/^\d+\n0022\n/)
  expect(own).toContain('Max open files')
  expect(String(stdout)).toMatch(/SigBlk:\t0+\n/)
  expect(String(stdout)).toMatch(/SigIgn:\t0+\n/)
  expect(String(stdout)).toMatch(/\n0\n1\n2\n3\n$/)
})

test('A7 an ignored signal of whoever starts the daemon does not reach commands', async () => {
  await using dir = await makeTmpDir()
  const command = `trap '' INT QUIT; exec ${LAUNCHER} -port 0 -address 127.0.0.1 -kill-on-exit -run-dir ${dir.path}`
  await using daemon = await launched('sh', ['-c', command])
  const { end } = await shell(daemon.url, 'kill -INT $$; sleep 5')
  expect(end?.status).toBe('signal: interrupt')
  expect(await daemon.stop()).toBe(0)
})

test('A7 a second SIGTERM changes nothing', async () => {
  await using daemon = await startDaemon()
  const stream = await start(daemon.url, 'sleep', { args: ['1000'] })
  await pidOf(stream)
  process.kill(daemon.pid, 'SIGTERM')
  process.kill(daemon.pid, 'SIGTERM')
  expect((await stream.rest()).end.error?.code).toBe('unavailable')
  expect(await daemon.stop()).toBe(0)
})

test('A28 the daemon goes on when nobody reads its log any more', async () => {
  await using dir = await makeTmpDir()
  const args = ['-port', '0', '-address', '127.0.0.1', '-run-dir', dir.path, '-verbose']
  await using daemon = await launched(LAUNCHER, args)
  daemon.stdout.destroy()
  for (let i = 0; i < 50; i++) expect((await call(daemon.url, 'process.Process/List', {})).status).toBe(200)
  expect(await daemon.stop()).toBe(0)
})
