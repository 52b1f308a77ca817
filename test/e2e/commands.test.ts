import { describe, expect, test } from 'vitest'
import { collector, createSandbox, sdks, useDaemon } from './sdk.ts'

useDaemon()

describe.each(sdks)('commands of e2b $version', (sdk) => {
  test('a command gives its output and exit code', async () => {
    const sandbox = await createSandbox(sdk)
    const result = await sandbox.commands.run('echo out; echo err >&2')
    expect(result).toMatchObject({ exitCode: 0, stdout: 'out\n', stderr: 'err\n' })
  })

  test('a command that fails throws its exit code and output', async () => {
    const { CommandExitError } = await sdk.load()
    const sandbox = await createSandbox(sdk)
    const failure = await sandbox.commands.run('echo out; echo err >&2; exit 3').catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(CommandExitError)
    expect(failure).toMatchObject({ exitCode: 3, stdout: 'out\n', stderr: 'err\n', error: 'exit status 3' })
  })

  test('output streams to callbacks while the command runs', async () => {
    const sandbox = await createSandbox(sdk)
    const stdout = collector()
    const stderr = collector()
    const handle = await sandbox.commands.run('echo first; echo bad >&2; read line; echo last', {
      background: true,
      ...(sdk.since('2.2.0') && { stdin: true }),
      onStdout: stdout.add,
      onStderr: stderr.add,
    })
    await expect.poll(stdout.text).toBe('first\n')
    await expect.poll(stderr.text).toBe('bad\n')
    await sandbox.commands.sendStdin(handle.pid, 'go\n')
    expect(await handle.wait()).toMatchObject({ exitCode: 0, stdout: 'first\nlast\n', stderr: 'bad\n' })
    expect(stdout.text()).toBe('first\nlast\n')
  })

  test('environment and working directory reach the command', async () => {
    const sandbox = await createSandbox(sdk)
    const { stdout } = await sandbox.commands.run('echo "$GREETING"; pwd', {
      envs: { GREETING: 'grüß "dich" $HOME' },
      cwd: '/usr/share',
    })
    expect(stdout).toBe('grüß "dich" $HOME\n/usr/share\n')
  })

  test('a command runs as user in the home, or as who is named', async () => {
    const sandbox = await createSandbox(sdk)
    const asUser = await sandbox.commands.run('whoami; pwd; echo $HOME $USER $LOGNAME; id -G')
    expect(asUser.stdout).toBe('user\n/home/user\n/home/user user user\n1000 27 29 44\n')
    const asRoot = await sandbox.commands.run('whoami; pwd; echo $HOME', { user: 'root' })
    expect(asRoot.stdout).toBe('root\n/root\n/root\n')
  })

  test('an unknown user is refused with a clear error', async () => {
    const { AuthenticationError } = await sdk.load()
    const sandbox = await createSandbox(sdk)
    const failure = await sandbox.commands.run('true', { user: 'nobody-here' }).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(AuthenticationError)
  })

  test('a missing working directory is refused', async () => {
    const { InvalidArgumentError } = await sdk.load()
    const sandbox = await createSandbox(sdk)
    const failure = await sandbox.commands.run('true', { cwd: '/not/there' }).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(InvalidArgumentError)
    expect(String(failure)).toContain('/not/there')
  })

  test('a background command is listed until it is killed', async () => {
    const { CommandExitError } = await sdk.load()
    const sandbox = await createSandbox(sdk)
    const handle = await sandbox.commands.run('sleep 1000', { background: true, envs: { A: 'b' }, cwd: '/tmp' })
    const listed = (await sandbox.commands.list()).find((command) => command.pid === handle.pid)
    expect(listed).toMatchObject({ cmd: '/bin/bash', args: ['-l', '-c', 'sleep 1000'], envs: { A: 'b' }, cwd: '/tmp' })
    expect(await handle.kill()).toBe(true)
    await expect(handle.wait()).rejects.toBeInstanceOf(CommandExitError)
    expect((await sandbox.commands.list()).map((command) => command.pid)).not.toContain(handle.pid)
    expect(await sandbox.commands.kill(handle.pid)).toBe(false)
  })

  if (sdk.since('2.13.0'))
    test('standard input can be closed', async () => {
      const sandbox = await createSandbox(sdk)
      const handle = await sandbox.commands.run('wc -c', { background: true, stdin: true })
      await sandbox.commands.sendStdin(handle.pid, 'hello ')
      await sandbox.commands.sendStdin(handle.pid, 'wörld')
      await sandbox.commands.closeStdin(handle.pid)
      expect((await handle.wait()).stdout).toBe('12\n')
    })

  if (sdk.since('2.2.0'))
    test('without standard input a command reads nothing', async () => {
      const sandbox = await createSandbox(sdk)
      expect(await sandbox.commands.run('cat')).toMatchObject({ exitCode: 0, stdout: '' })
    })

  test('another client connects to a running command', async () => {
    const first = await createSandbox(sdk)
    const second = await createSandbox(sdk)
    const handle = await first.commands.run('read line; echo "got $line"; exit 4', {
      background: true,
      ...(sdk.since('2.2.0') && { stdin: true }),
    })
    const stdout = collector()
    const connected = await second.commands.connect(handle.pid, { onStdout: stdout.add })
    expect(connected.pid).toBe(handle.pid)
    await second.commands.sendStdin(handle.pid, 'it\n')
    await expect(connected.wait()).rejects.toMatchObject({ exitCode: 4, stdout: 'got it\n' })
    await expect(handle.wait()).rejects.toMatchObject({ exitCode: 4, stdout: 'got it\n' })
    expect(stdout.text()).toBe('got it\n')
  })

  test('connecting to a process that does not exist is not found', async () => {
    const { NotFoundError } = await sdk.load()
    const sandbox = await createSandbox(sdk)
    await expect(sandbox.commands.connect(4_000_000)).rejects.toBeInstanceOf(NotFoundError)
  })

  test('a disconnected command lives on', async () => {
    const sandbox = await createSandbox(sdk)
    const handle = await sandbox.commands.run('read line; echo $line > $OUT', {
      background: true,
      envs: { OUT: `/tmp/lives-${sdk.version}` },
      ...(sdk.since('2.2.0') && { stdin: true }),
    })
    await handle.disconnect()
    await sandbox.commands.sendStdin(handle.pid, 'alive\n')
    await expect.poll(() => sandbox.files.read(`/tmp/lives-${sdk.version}`).catch(() => '')).toBe('alive\n')
  })

  test('a command past its time limit is a timeout and is killed', async () => {
    const { TimeoutError } = await sdk.load()
    const sandbox = await createSandbox(sdk)
    const mark = `1000.${sdk.version.replaceAll('.', '')}`
    await expect(sandbox.commands.run(`sleep ${mark}`, { timeoutMs: 300 })).rejects.toBeInstanceOf(TimeoutError)
    const running = async () => (await sandbox.commands.list()).some((command) => command.args.join(' ').includes(mark))
    await expect.poll(running).toBe(false)
    const { stdout } = await sandbox.commands.run(`ps -eo args | grep -c "[s]leep ${mark}" || true`)
    expect(stdout).toBe('0\n')
  })

  test('a command without a time limit runs to its end', async () => {
    const sandbox = await createSandbox(sdk)
    expect(await sandbox.commands.run('sleep 0.2; echo done', { timeoutMs: 0 })).toMatchObject({ stdout: 'done\n' })
  })

  test('megabytes of output arrive complete', async () => {
    const sandbox = await createSandbox(sdk)
    const { stdout } = await sandbox.commands.run('seq 1 500000')
    expect(stdout).toBe(Array.from({ length: 500_000 }, (_, index) => `${index + 1}\n`).join(''))
  })

  test('twenty commands run beside each other', async () => {
    const sandbox = await createSandbox(sdk)
    const numbers = Array.from({ length: 20 }, (_, index) => String(index))
    const results = await Promise.all(numbers.map((number) => sandbox.commands.run(`echo ${number}`)))
    expect(results.map((result) => result.stdout.trim())).toEqual(numbers)
  })
})
