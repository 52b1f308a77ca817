import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { asUser, type RunOptions, shell, start, transcript } from '../_util/rpc.ts'
import { self } from '../_util/self.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const { name: username, home: homedir } = await self()
const PATH = '/usr/local/bin:/usr/bin:/bin'
/** SECRET stands for everything in the daemon's own environment that commands must not have. */
const env = { PATH, SECRET: 'of the daemon', LANG: 'de_DE.UTF-8', TERM: 'vt100', SHELL: '/bin/zsh' }
const daemon = sharedDaemon({ env })
const pty = { cols: 80, rows: 24 }
const basic = { PATH, HOME: homedir, USER: username, LOGNAME: username, PWD: homedir, E2B_SANDBOX: 'false' }

/** The exact environment, as `env -0` prints it. */
async function environment(url: string, options: RunOptions = {}): Promise<Record<string, string>> {
  const { stdout, pty: output } = await transcript(await start(url, 'env', { args: ['-0'], ...options }))
  const lines = Buffer.concat([stdout, output]).toString().split('\0').slice(0, -1)
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]))
}

async function init(url: string, body: unknown): Promise<void> {
  const headers = { 'content-type': 'application/json' }
  const { status } = await sendWhole(`${url}/init`, { method: 'POST', headers, body: JSON.stringify(body) })
  expect(status).toBe(204)
}

describe('environment', () => {
  test.each([
    { how: 'pipes', options: {} },
    { how: 'a terminal', options: { pty } },
  ])(
    'D10 D67 a command with $how gets five variables and the global ones, and nothing of the daemon',
    async ({ options }) => {
      expect(await environment(daemon.url, options)).toEqual(basic)
    },
  )

  test('D10 the request overrides everything, with empty values and odd names too', async () => {
    const envs = {
      PATH: '/usr/bin:/bin',
      HOME: '/tmp',
      E2B_SANDBOX: 'no',
      PWD: '/odd',
      EMPTY: '',
      'a.b-c': 'x=y\nz',
      É: '漢',
    }
    expect(await environment(daemon.url, { envs })).toEqual({ ...basic, ...envs })
  })

  test('D10 the variables of /init come in between, and a later /init replaces them', async () => {
    await using other = await startDaemon({ env })
    await init(other.url, { envVars: { HOME: '/from-init', A: 'init', B: 'init', EMPTY: '' } })
    const envs = { B: 'request' }
    expect(await environment(other.url, { envs })).toEqual({
      ...basic,
      HOME: '/from-init',
      A: 'init',
      B: 'request',
      EMPTY: '',
    })
    expect(await environment(other.url, { pty })).toMatchObject({ A: 'init', B: 'init' })
    await init(other.url, {})
    expect(await environment(other.url)).toMatchObject({ A: 'init' })
    await init(other.url, { envVars: { C: 'new' } })
    expect(await environment(other.url)).toEqual({ ...basic, C: 'new' })
  })

  test('D10 PWD is the directory that the command runs in', async () => {
    expect((await environment(daemon.url, { cwd: '/usr' }))['PWD']).toBe('/usr')
  })

  test('D67 TERM and LANG are what the request says', async () => {
    const envs = { TERM: 'xterm-256color', LANG: 'C.UTF-8' }
    const { pty: output } = await shell(daemon.url, 'echo $TERM $LANG', { pty, envs })
    expect(output.toString()).toBe('xterm-256color C.UTF-8\r\n')
  })

  const odd = { '': 'secret', 'A=B': 'secret', '=': 'secret', 'N\0': 'secret', NUL: 'sec\0ret', PATH: '\0' }

  test('D11 what is no variable is left out of a request, and logged without its name', async () => {
    await using other = await startDaemon({ env })
    expect(await environment(other.url, { envs: { ...odd, GOOD: '1' } })).toEqual({ ...basic, GOOD: '1' })
    expect(await environment(other.url, { envs: odd, pty })).toEqual(basic)
    await other.stop()
    const warnings = other.stdout().match(/^.*were left out.*$/gm)
    expect(warnings).toHaveLength(2)
    expect(warnings?.[0]).toMatch(/"level":"warn".*"count":6/)
    expect(other.stdout()).not.toMatch(/secret|A=B/)
  })

  test('D11 what is no variable is left out of what /init sets', async () => {
    await using other = await startDaemon({ env })
    await init(other.url, { envVars: { ...odd, GOOD: '1' } })
    expect(await environment(other.url)).toEqual({ ...basic, GOOD: '1' })
    await other.stop()
    expect(other.stdout()).toMatch(/"level":"warn".*"count":6.*were left out/)
    expect(other.stdout()).not.toMatch(/secret|A=B/)
  })

  test.each(['a flag', 'a file', 'a service'])(
    'D11 what is no variable is left out of what the configuration sets for a command of its own, by %s',
    async (how) => {
      await using directory = await makeTmpDir()
      const [config, printed] = [join(directory.path, 'config.json'), join(directory.path, 'printed')]
      const command = `env >${printed}.new; mv ${printed}.new ${printed}; sleep 300`
      const variables = { 'A=B': 'secret', '': 'secret', GOOD: '1' }
      const content =
        how === 'a service' ? { services: [{ name: 'web', command, env: variables }] } : { 'start-env': variables }
      await writeFile(config, JSON.stringify(content))
      const given = how === 'a flag' ? ['-start-env', '=secret', '-start-env', 'GOOD=1'] : ['-config', config]
      const started = how === 'a service' ? [] : ['-start-cmd', command]
      await using other = await startDaemon({ env, args: [...given, ...started] })
      const text = await vi.waitFor(() => readFile(printed, 'utf8'), { timeout: 20_000 })
      expect(text).toMatch(/^GOOD=1$/m)
      expect(text).not.toMatch(/secret/)
      await other.stop()
      expect(other.stdout()).toMatch(/"level":"warn".*were left out/)
    },
  )
})

describe('working directory', () => {
  async function workingDirectory(cwd: string | undefined, url = daemon.url): Promise<string> {
    const { stdout } = await shell(url, 'pwd', cwd === undefined ? {} : { cwd })
    return stdout.toString().trimEnd()
  }

  async function refusal(options: RunOptions) {
    const { messages, end } = await (await start(daemon.url, 'pwd', options)).rest()
    expect(messages).toEqual([])
    return end.error
  }

  test('D12 absent or empty means the home, absolute is as it stands', async () => {
    expect(await workingDirectory(undefined)).toBe(homedir)
    expect(await workingDirectory('')).toBe(homedir)
    expect(await workingDirectory('~')).toBe(homedir)
    expect(await workingDirectory('/usr/lib')).toBe('/usr/lib')
  })

  test('D12 absent or empty means the default directory, where one is set', async () => {
    await using other = await startDaemon({ args: ['-default-workdir', '/usr'] })
    expect(await workingDirectory(undefined, other.url)).toBe('/usr')
    expect(await workingDirectory('', other.url)).toBe('/usr')
  })

  test('D12 relative means below the home', async (context) => {
    needsNamespace(context)
    await mkdir('/home/user/work', { recursive: true })
    const headers = asUser('user')
    for (const cwd of ['work', '~/work', 'x/../work']) {
      expect((await shell(daemon.url, 'pwd', { cwd, headers })).stdout.toString()).toBe('/home/user/work\n')
    }
  })

  test.each([
    { how: 'pipes', options: {} },
    { how: 'a terminal', options: { pty } },
  ])('D12 D66 a directory that does not exist is refused, with $how', async ({ options }) => {
    expect(await refusal({ cwd: '/no/such/directory', ...options })).toEqual({
      code: 'invalid_argument',
      message: "cwd '/no/such/directory' does not exist",
    })
  })

  test('D12 a file is refused', async () => {
    await using directory = await makeTmpDir()
    const cwd = join(directory.path, 'file')
    await writeFile(cwd, '')
    expect(await refusal({ cwd })).toMatchObject({
      code: 'invalid_argument',
      message: expect.stringMatching(/^error starting process 'pwd': .*not a directory$/),
    })
  })

  test('D66 in a terminal the error names command, directory and size', async () => {
    expect(await refusal({ cwd: '/etc/passwd', pty: { cols: 100, rows: 30 } })).toMatchObject({
      code: 'invalid_argument',
      message: expect.stringMatching(
        /^error starting pty with command 'pwd' in dir '\/etc\/passwd' with '100' cols and '30' rows: .*not a directory$/,
      ),
    })
  })

  test('D12 a directory that the user may not enter is refused', async (context) => {
    needsNamespace(context)
    await using directory = await makeTmpDir(0o700)
    const cwd = join(directory.path, 'inner')
    await mkdir(cwd)
    await chmod(cwd, 0o777)
    for (const options of [{}, { pty }]) {
      expect(await refusal({ cwd, headers: asUser('user'), ...options })).toMatchObject({
        code: 'invalid_argument',
        message: expect.stringMatching(/permission denied$/),
      })
    }
    expect(await workingDirectory(cwd)).toBe(cwd)
  })

  test.for(['missing', 'closed', 'a file'])(
    'D12 a user whose home is %s starts in the root directory, unless it is asked for',
    async (how, context) => {
      needsNamespace(context)
      await using directory = await makeTmpDir(0o711)
      const home = join(directory.path, 'home')
      if (how === 'closed') await mkdir(home, { mode: 0o700 })
      if (how === 'a file') await writeFile(home, '')
      const args = ['-default-user', 'user', '-default-home', home]
      await using other = await startDaemon({ args })
      for (const options of [{}, { pty }, { cwd: '' }]) {
        const { stdout, pty: output } = await shell(other.url, 'pwd; echo $PWD $HOME', options)
        expect(Buffer.concat([stdout, output]).toString().replaceAll('\r', '')).toBe(`/\n/ ${home}\n`)
      }
      for (const cwd of ['~', home, 'below']) {
        const { messages, end } = await (await start(other.url, 'pwd', { cwd })).rest()
        expect(messages).toEqual([])
        expect(end.error?.code).toBe('invalid_argument')
      }
    },
  )

  test('D12 a default directory that is missing was asked for', async () => {
    await using other = await startDaemon({ args: ['-default-workdir', '/no/such/directory'] })
    const { end } = await (await start(other.url, 'pwd')).rest()
    expect(end.error).toMatchObject({ code: 'invalid_argument', message: "cwd '/no/such/directory' does not exist" })
  })

  test('D12 ~name is refused', async () => {
    expect(await refusal({ cwd: '~root/x' })).toMatchObject({ code: 'invalid_argument' })
  })
})
