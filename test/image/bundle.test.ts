import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, copyFile, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Sandbox } from 'e2b'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { VERSION } from '../../src/version.ts'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { call, pidOf, start, transcript } from '../_util/rpc.ts'
import { bundle, debian, emptyRoot, equip, INSTALLED, launchIn, needsMade, skippedReason } from './root.ts'

const run = promisify(execFile)

beforeEach(needsNamespace)

/** A daemon in that root, with a sandbox of the SDK that speaks to it. */
async function daemonIn(root: string): Promise<Daemon & { sandbox(): Promise<Sandbox> }> {
  const daemon = await startDaemon({ launch: launchIn(root), args: ['-isnotfc', '-default-workdir', '/'] })
  const sandbox = () => Sandbox.connect('anything', { debug: true, sandboxUrl: daemon.url })
  return Object.assign(daemon, { sandbox })
}

/** What works without any program in the root. */
async function expectFiles({ url, sandbox }: { url: string; sandbox(): Promise<Sandbox> }) {
  expect((await sendWhole(`${url}/health`)).status).toBe(204)
  expect(JSON.parse((await sendWhole(`${url}/metrics`)).text)).toMatchObject({ cpu_count: expect.any(Number) })
  const { files } = await sandbox()
  await files.write('/data/nested/text', 'written')
  expect(await files.read('/data/nested/text')).toBe('written')
  expect((await files.list('/data')).map(({ name }) => name)).toEqual(['nested'])
  const seen = Promise.withResolvers<string>()
  const watch = await files.watchDir('/data/nested', ({ name }) => seen.resolve(name))
  await files.write('/data/nested/second', '')
  expect(await seen.promise).toBe('second')
  await watch.stop()
  await files.remove('/data')
}

/** Commands, a terminal and a kill, by a shell of that root. */
async function expectCommands(url: string, shell: readonly [string, ...string[]]) {
  const [file, ...words] = shell
  const ran = await transcript(
    await start(url, file, { args: [...words, '-c', 'echo out; echo err >&2; exit 3'], stdin: false }),
  )
  expect({ stdout: ran.stdout.toString(), stderr: ran.stderr.toString() }).toEqual({ stdout: 'out\n', stderr: 'err\n' })
  expect(ran.end).toMatchObject({ exitCode: 3, exited: true })

  const terminal = await start(url, file, {
    args: [...words, '-c', 'read line; echo "got $line"; tty'],
    pty: { cols: 80, rows: 24 },
  })
  const first = await terminal.messages.next()
  const pid = first.done ? 0 : (first.value.event.start?.pid ?? 0)
  await call(url, 'process.Process/SendInput', {
    process: { pid },
    input: { pty: Buffer.from('typed\n').toString('base64') },
  })
  const { messages } = await terminal.rest()
  const shown = Buffer.concat(messages.map(({ event }) => Buffer.from(event.data?.pty ?? '', 'base64'))).toString()
  expect(shown).toContain('got typed')
  expect(shown).toMatch(/\/dev\/pts\/\d+/)

  const sleeping = await start(url, file, { args: [...words, '-c', 'sleep 1000'], stdin: false })
  const begun = await sleeping.messages.next()
  const victim = begun.done ? 0 : (begun.value.event.start?.pid ?? 0)
  await call(url, 'process.Process/SendSignal', { process: { pid: victim }, signal: 'SIGNAL_SIGKILL' })
  const { messages: rest } = await sleeping.rest()
  expect(rest.at(-1)?.event.end).toMatchObject({ status: 'signal: killed' })
}

describe('the bundle', () => {
  test('takes at most 60 MB compressed, and is the directory in an archive', async () => {
    expect((await stat(`${bundle}.tar.gz`)).size).toBeLessThan(60_000_000)
    const { stdout } = await run('tar', ['-tzf', `${bundle}.tar.gz`])
    const inside = await readdir(bundle, { recursive: true })
    expect(stdout.trim().split('\n').length).toBe(inside.length + 1)
  })

  test('is writable by its owner only, and has the licences of what it contains', async () => {
    for (const name of await readdir(bundle, { recursive: true })) {
      expect([name, (await stat(join(bundle, name))).mode & 0o022]).toEqual([name, 0])
    }
    const packages = await readFile(join(bundle, 'licences/packages.txt'), 'utf8')
    expect(packages).toMatch(/^fastify \d/m)
    expect(await readFile(join(bundle, 'licences/node.txt'), 'utf8')).toContain('Permission is hereby granted')
  })

  test('A2 its -version prints the version and nothing else', async () => {
    const { stdout, stderr } = await run(join(bundle, 'envd'), ['-version'])
    expect({ stdout, stderr }).toEqual({ stdout: `${VERSION}\n`, stderr: '' })
  })

  test('loads nothing of the machine, whatever its environment says', async () => {
    const env = {
      LD_PRELOAD: '/nowhere.so',
      LD_LIBRARY_PATH: '/lib',
      NODE_OPTIONS: '--no-such-option',
      NODE_PATH: '/nowhere',
    }
    const root = await emptyRoot()
    await equip(root)
    await using daemon = await startDaemon({ launch: launchIn(root), args: ['-isnotfc'] })
    const mapped = await readFile(`/proc/${daemon.pid}/maps`, 'utf8')
    const files = new Set(mapped.match(/(?<= )\/\S+(?=\n)/g))
    expect([...files].filter((file) => !file.startsWith(`${root}${INSTALLED}/`))).toEqual([])
    const { stdout } = await run(join(bundle, 'envd'), ['-version'], { env })
    expect(stdout).toBe(`${VERSION}\n`)
  })

  test('opens no inspector, by a signal or by its environment', async () => {
    const env = { NODE_OPTIONS: '--inspect', OPENSSL_CONF: '/nowhere' }
    await using daemon = await startDaemon({ launch: [join(bundle, 'envd')], args: ['-isnotfc'], env })
    process.kill(daemon.pid, 'SIGUSR1')
    expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
    expect(await readFile(`/proc/${daemon.pid}/environ`, 'latin1')).not.toMatch(/NODE_OPTIONS|OPENSSL/)
    await expect(sendWhole('http://127.0.0.1:9229/json')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  test('is found by pidof', async () => {
    await using daemon = await startDaemon({ launch: [join(bundle, 'envd')], args: ['-isnotfc'] })
    expect((await readFile(`/proc/${daemon.pid}/comm`, 'utf8')).trim()).toBe('envd')
  })

  test('takes over from a daemon, as a directory and as an archive, while a command goes on', async () => {
    const copy = await emptyRoot()
    await chmod(copy, 0o755)
    await run('cp', ['-a', `${bundle}/.`, copy])
    await using daemon = await startDaemon({ launch: [join(bundle, 'envd')], args: ['-isnotfc'] })
    const command = await start(daemon.url, 'sleep', { args: ['1000'] })
    const pid = await pidOf(command)
    for (const source of [copy, `${bundle}.tar.gz`, copy]) {
      const { stdout } = await run(join(bundle, 'envd'), ['ctl', 'upgrade', '--url', daemon.url, source])
      expect(stdout).toMatch(/^upgraded to /)
      expect((await call(daemon.url, 'process.Process/List', {})).body).toMatchObject({ processes: [{ pid }] })
    }
  })

  test('warns when another user may change its files', async () => {
    const copy = await emptyRoot()
    await run('cp', ['-a', `${bundle}/.`, copy])
    const launch = [join(copy, 'envd')] as const
    {
      await using closed = await startDaemon({ launch, args: ['-isnotfc'] })
      await closed.stop()
      expect(closed.stdout()).not.toContain('another user')
    }
    await run('chmod', ['o+w', join(copy, 'envd.cjs')])
    await using daemon = await startDaemon({ launch, args: ['-isnotfc'] })
    await expect.poll(() => daemon.stdout()).toContain(`"path":"${join(copy, 'envd.cjs')}"`)
  })
})

describe('in a root made by debootstrap', () => {
  beforeEach((context) => needsMade(context, 'base'))
  beforeAll(() => (skippedReason('base') === undefined ? equip(debian) : undefined))

  test('files, commands, terminals and the SDK work', async () => {
    await using daemon = await daemonIn(debian)
    await expectFiles(daemon)
    await expectCommands(daemon.url, ['/bin/bash'])
    const sandbox = await daemon.sandbox()
    expect(await sandbox.commands.run('. /etc/os-release; echo $ID')).toMatchObject({ exitCode: 0, stdout: 'debian\n' })
    const shown: string[] = []
    const terminal = await sandbox.pty.create({
      cols: 80,
      rows: 24,
      onData: (data) => void shown.push(Buffer.from(data).toString()),
    })
    await sandbox.pty.sendInput(terminal.pid, new TextEncoder().encode('echo $((6 * 7)); exit\n'))
    await terminal.wait()
    expect(shown.join('')).toContain('42')
  })
})

describe('in a root that holds only a static busybox', () => {
  const BUSYBOX = '/bin/busybox'
  let root = ''
  beforeEach((context) => {
    if (!existsSync(BUSYBOX)) context.skip('there is no static busybox')
  })
  beforeAll(async () => {
    if (!existsSync(BUSYBOX)) return
    root = await emptyRoot()
    await mkdir(join(root, 'bin'))
    await copyFile(BUSYBOX, join(root, 'bin/busybox'))
    await symlink('busybox', join(root, 'bin/sh'))
    for (const name of ['sleep', 'tty']) await symlink('busybox', join(root, 'bin', name))
    await equip(root)
  })

  test('files, commands and terminals work; what needs bash says so', async () => {
    await using daemon = await daemonIn(root)
    await expectFiles(daemon)
    await expectCommands(daemon.url, ['/bin/sh'])
    const sandbox = await daemon.sandbox()
    await expect(sandbox.commands.run('true')).rejects.toMatchObject({
      exitCode: 127,
      stderr: '/bin/bash: no such file or directory\n',
    })
  })
})

describe('in an empty root', () => {
  test('version, health, files and metrics work, and a command fails with a clear error', async () => {
    const root = await emptyRoot()
    await equip(root)
    const [program, ...words] = launchIn(root)
    expect((await run(program, [...words, '-version'])).stdout).toBe(`${VERSION}\n`)
    await using daemon = await daemonIn(root)
    await expectFiles(daemon)
    const sandbox = await daemon.sandbox()
    await expect(sandbox.commands.run('true')).rejects.toMatchObject({
      exitCode: 127,
      stderr: '/bin/bash: no such file or directory\n',
    })
  })

  test('a root that cannot be written to is no obstacle', async () => {
    const root = await emptyRoot()
    await equip(root)
    await writeFile(join(root, 'there'), 'before')
    await run('mount', ['--bind', root, root])
    await run('mount', ['-o', 'remount,bind,ro', root])
    // The bind mount covers those below it.
    await equip(root).catch(() => {})
    await using daemon = await daemonIn(root)
    const { files } = await daemon.sandbox()
    expect(await files.read('/there')).toBe('before')
    await expect(files.write('/new', '')).rejects.toThrow(/read-only file system/)
  })
})
