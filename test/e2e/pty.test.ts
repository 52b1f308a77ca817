import { describe, expect, test } from 'vitest'
import { type CommandHandle, collector, createSandbox, type Sandbox, type Sdk, sdks, useDaemon } from './sdk.ts'

useDaemon()

const bytes = (text: string) => new TextEncoder().encode(text)

interface Terminal extends AsyncDisposable {
  readonly sandbox: Sandbox
  readonly handle: CommandHandle
  screen(): string
  type(text: string): Promise<void>
}

async function openTerminal(sdk: Sdk, options: { envs?: Record<string, string>; cwd?: string; user?: string } = {}) {
  const sandbox = await createSandbox(sdk)
  const output = collector()
  const handle = await sandbox.pty.create({ cols: 80, rows: 24, onData: output.add, timeoutMs: 0, ...options })
  const terminal: Terminal = {
    sandbox,
    handle,
    screen: output.text,
    type: (text) => sandbox.pty.sendInput(handle.pid, bytes(text)),
    async [Symbol.asyncDispose]() {
      await handle.kill()
      await handle.wait().catch(() => {})
    },
  }
  return terminal
}

describe.each(sdks)('terminals of e2b $version', (sdk) => {
  test('a terminal has its size, follows a resize and echoes input', async () => {
    await using terminal = await openTerminal(sdk)
    await terminal.type('stty size\n')
    await expect.poll(terminal.screen).toContain('24 80\r\n')
    await terminal.sandbox.pty.resize(terminal.handle.pid, { cols: 132, rows: 50 })
    await terminal.type('stty size\n')
    await expect.poll(terminal.screen).toContain('50 132\r\n')
    expect(terminal.screen()).toContain('stty size\r\n')
  })

  test('the shell of a terminal is a login shell of the user, with TERM set', async () => {
    await using terminal = await openTerminal(sdk, { envs: { MARK: 'märk' }, cwd: '/usr' })
    await terminal.type('echo "<$(whoami) $PWD $TERM $MARK $(shopt -q login_shell && echo login)>"\n')
    await expect.poll(terminal.screen).toContain('<user /usr xterm-256color märk login>')
  })

  test('a terminal of root is root', async () => {
    await using terminal = await openTerminal(sdk, { user: 'root' })
    await terminal.type('echo "<$(whoami) $(stat -c %U $(tty))>"\n')
    await expect.poll(terminal.screen).toContain('<root root>')
  })

  test('Ctrl-C interrupts what runs in the terminal', async () => {
    await using terminal = await openTerminal(sdk)
    // Said by who is interrupted: a shell that has yet to start it would get the signal itself.
    await terminal.type(`sh -c 'echo star""ted; exec sleep 1000'\n`)
    await expect.poll(terminal.screen).toContain('started')
    await terminal.type('\u0003')
    await terminal.type('echo code=$?\n')
    await expect.poll(terminal.screen).toContain('code=130')
  })

  test('the exit code of the shell ends the terminal', async () => {
    const { CommandExitError } = await sdk.load()
    const terminal = await openTerminal(sdk)
    await terminal.type('exit 7\n')
    const failure = await terminal.handle.wait().catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(CommandExitError)
    expect(failure).toMatchObject({ exitCode: 7 })
  })

  test('a killed terminal is gone', async () => {
    const terminal = await openTerminal(sdk)
    expect(await terminal.sandbox.pty.kill(terminal.handle.pid)).toBe(true)
    await terminal.handle.wait().catch(() => {})
    expect(await terminal.sandbox.pty.kill(terminal.handle.pid)).toBe(false)
    expect((await terminal.sandbox.commands.list()).map(({ pid }) => pid)).not.toContain(terminal.handle.pid)
  })

  if (sdk.since('2.9.0'))
    test('a second client sees and drives the same terminal', async () => {
      await using terminal = await openTerminal(sdk)
      const other = await createSandbox(sdk)
      const output = collector()
      const connected = await other.pty.connect(terminal.handle.pid, { onData: output.add })
      await other.pty.sendInput(connected.pid, bytes('echo from-""second\n'))
      await expect.poll(terminal.screen).toContain('from-second')
      await expect.poll(output.text).toContain('from-second')
      await connected.disconnect()
      await terminal.type('echo still-""here\n')
      await expect.poll(terminal.screen).toContain('still-here')
    })
})
