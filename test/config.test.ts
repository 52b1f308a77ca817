import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Config, configSchema, readConfig } from '../src/config.ts'
import { makeTmpDir } from './_util/tmp-dir.ts'

function configOf(argv: readonly string[], env: Record<string, string> = {}): Config {
  const command = readConfig(argv, env)
  if (command.kind !== 'run') throw new Error(JSON.stringify(command))
  return command.config
}

test('A1 without flags the port is 49983 and the cgroup root /sys/fs/cgroup', () => {
  expect(configOf([], { PATH: '/bin' })).toEqual({
    port: 49983,
    address: '::',
    notFirecracker: false,
    accessTokenFile: undefined,
    allowOrigins: [],
    allowHosts: [],
    verbose: false,
    console: true,
    noCgroups: false,
    portArguments: true,
    cgroupRoot: '/sys/fs/cgroup',
    keepExits: 600_000,
    archiveLimits: { entries: 1_000_000, bytes: 64 * 1024 ** 3, ratio: 250 },
    uploads: { dir: '/var/lib/envd/uploads', maxBytes: 128 * 1024 ** 3 },
    killOnExit: false,
    defaultUser: '',
    defaultHome: undefined,
    defaultWorkdir: undefined,
    outputResume: true,
    outputWindow: 32 * 1024 * 1024,
    readerStall: 60_000,
    bodyStall: 60_000,
    strictFileUsers: false,
    runDir: '/run/e2b',
    path: '/bin',
    home: '/',
    noFile: undefined,
    keeper: undefined,
    forward: { address: '169.254.0.21', explicit: false },
    services: [
      {
        name: 'start',
        after: [],
        startCommand: undefined,
        readyCommand: undefined,
        user: undefined,
        workdir: undefined,
        env: {},
        restart: 'never',
        readyTimeout: 600_000,
        readyAttemptTimeout: 180_000,
        live: { command: undefined, interval: 5000, timeout: 10_000, failures: 3 },
        leftover: 'adopt',
        afterInit: true,
      },
    ],
  })
})

test('A1 every flag of the reference is understood', () => {
  const argv = '-isnotfc --port 1234 -cgroup-root=/cg -no-cgroups=true --verbose=1'.split(' ')
  expect(configOf(argv)).toMatchObject({
    port: 1234,
    notFirecracker: true,
    verbose: true,
    noCgroups: true,
    portArguments: true,
    cgroupRoot: '/cg',
  })
})

test('the console is served unless it is switched off', () => {
  expect(configOf(['-console=on']).console).toBe(true)
  expect(configOf(['-console', 'off']).console).toBe(false)
  expect(readConfig(['-console=maybe'], {})).toMatchObject({ kind: 'usage' })
})

test('A2 -version wins over -commit, and both over everything else', () => {
  expect(readConfig(['-version'], {})).toEqual({ kind: 'version' })
  expect(readConfig(['-commit'], {})).toEqual({ kind: 'commit' })
  expect(readConfig(['-commit', '-port=-1', '-version'], {})).toEqual({ kind: 'version' })
})

test('A3 an unknown flag gives the problem and the usage', () => {
  const command = readConfig(['-nope'], {})
  expect(command).toMatchObject({ kind: 'usage', problem: 'flag provided but not defined: -nope' })
  expect(command).toHaveProperty('text', expect.stringContaining('-port int'))
})

test('all values out of range are reported at once', () => {
  const command = readConfig(['-port=65536', '-address=*', '-reader-stall=0', '-output-window=-1'], {})
  expect(command).toMatchObject({
    kind: 'usage',
    problem:
      'port must be 0 to 65535, got 65536; address must be an IP address or localhost, got *; output-window must not be negative, got -1; reader-stall must be 1 to 86400, got 0',
  })
})

test("commands get the PATH without npm's additions, and a usual one if there is none", () => {
  const path = '/p/node_modules/.bin:/node_modules/.bin:/npm/node-gyp-bin:/usr/bin:/bin'
  expect(configOf([], { PATH: path, npm_lifecycle_event: 'start' }).path).toBe('/usr/bin:/bin')
  expect(configOf([], { PATH: path }).path).toBe(path)
  expect(configOf([]).path).toBe('/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin')
})

test('the limit of open files that the launcher found is taken if it is a number', () => {
  expect(configOf([], { ENVD_NOFILE: '1024' }).noFile).toBe(1024)
  for (const text of ['', 'unlimited', '0', '-1', '1e3'])
    expect(configOf([], { ENVD_NOFILE: text }).noFile).toBeUndefined()
})

test('the file of the access token comes from the flag, else from the environment', () => {
  expect(configOf([], { ENVD_ACCESS_TOKEN_FILE: '/a' }).accessTokenFile).toBe('/a')
  expect(configOf(['-access-token-file', '/b'], { ENVD_ACCESS_TOKEN_FILE: '/a' }).accessTokenFile).toBe('/b')
})

test('origins and hosts may be repeated, and each must be one', () => {
  const argv = ['-allow-origin', 'https://a.example', '-allow-origin=http://b:1', '-allow-host', '*.c.example']
  expect(configOf(argv)).toMatchObject({
    allowOrigins: ['https://a.example', 'http://b:1'],
    allowHosts: ['*.c.example'],
  })
  for (const origin of ['*', 'null', 'a.example', 'https://a.example/path', ''])
    expect(readConfig([`-allow-origin=${origin}`], {})).toMatchObject({ kind: 'usage' })
  for (const host of ['*', 'a.example:80', '*.', 'http://a', ''])
    expect(readConfig([`-allow-host=${host}`], {})).toMatchObject({ kind: 'usage' })
})

describe('start and ready commands', () => {
  test('come from flags, else from the environment', () => {
    const env = { ENVD_START_CMD: 'from env', ENVD_READY_CMD: 'probe' }
    expect(configOf([], env).services[0]).toMatchObject({ startCommand: 'from env', readyCommand: 'probe' })
    const argv = '-start-cmd=serve -start-user=user -start-workdir=/srv -restart=always -ready-timeout=5'.split(' ')
    expect(
      configOf([...argv, '-start-env', 'A=1', '-start-env', 'B=x=y', '-start-env', 'A=2'], env).services[0],
    ).toEqual({
      name: 'start',
      after: [],
      startCommand: 'serve',
      readyCommand: 'probe',
      user: 'user',
      workdir: '/srv',
      env: { A: '2', B: 'x=y' },
      restart: 'always',
      readyTimeout: 5000,
      readyAttemptTimeout: 180_000,
      live: { command: undefined, interval: 5000, timeout: 10_000, failures: 3 },
      leftover: 'adopt',
      afterInit: false,
    })
  })

  test.each([
    [[], true],
    [['-isnotfc'], false],
    [['-start-user', 'user'], false],
    [['-default-user', 'user'], false],
    [['-start-env', 'A=1'], false],
    [['-start-workdir', '/srv'], true],
  ])('with the flags %j they wait for the first /init: %j', (argv, afterInit) => {
    expect(configOf(argv).services[0]?.afterInit).toBe(afterInit)
  })

  test('what is out of range is reported by its name', () => {
    const problem = (...argv: string[]) => readConfig(argv, {})
    expect(problem('-restart=sometimes')).toMatchObject({
      problem: 'invalid value "sometimes" for flag -restart: expected never, on-failure, always',
    })
    expect(problem('-start-env=novalue')).toHaveProperty('problem', expect.stringContaining('expected NAME=value'))
    expect(problem('-ready-timeout=0', '-ready-attempt-timeout=86401')).toMatchObject({
      problem: 'ready-timeout must be 1 to 86400, got 0; ready-attempt-timeout must be 1 to 86400, got 86401',
    })
    expect(problem('-live-interval=-1', '-live-timeout=0', '-live-failures=1001')).toMatchObject({
      problem:
        'live-interval must be 0 to 86400, got -1; live-timeout must be 1 to 86400, got 0; live-failures must be 1 to 1000, got 1001',
    })
  })
})

describe('the file that -config names', () => {
  /** What comes of a file with this content. */
  async function commandOf(content: unknown, argv: readonly string[] = [], env: Record<string, string> = {}) {
    await using dir = await makeTmpDir()
    const path = join(dir.path, 'envd.json')
    await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content))
    const command = readConfig(['-config', path, ...argv], env)
    return command.kind === 'usage' ? command.problem.replace(path, 'FILE') : command
  }

  test('sets any flag by its name; environment and command line win over it', async () => {
    const file = {
      $schema: './config.schema.json',
      port: 8080,
      verbose: true,
      'start-cmd': 'file',
      'ready-cmd': 'file',
      'start-user': 'file',
      'start-env': { FILE: '1', BOTH: '1' },
    }
    const argv = ['-start-user', 'flag', '-start-env', 'BOTH=2', '-verbose=false']
    expect(await commandOf(file, argv, { ENVD_READY_CMD: 'env' })).toMatchObject({
      config: {
        port: 8080,
        verbose: false,
        services: [
          {
            startCommand: 'file',
            readyCommand: 'env',
            user: 'flag',
            env: { FILE: '1', BOTH: '2' },
          },
        ],
      },
    })
  })

  test.each([
    ['{"port": 80', /^config file FILE: not JSON: /],
    ['[]', 'config file FILE: must be an object, got a list'],
    [{ 'strat-cmd': 'x' }, 'config file FILE: unknown key "strat-cmd"'],
    [{ config: 'other.json' }, 'config file FILE: unknown key "config"'],
    [{ port: '80' }, 'config file FILE: key "port" must be an integer, got a string'],
    [{ port: 1.5 }, 'config file FILE: key "port" must be an integer, got the number 1.5'],
    [{ port: 65536 }, 'port must be 0 to 65535, got 65536'],
    [{ verbose: 'yes' }, 'config file FILE: key "verbose" must be true or false, got a string'],
    [{ 'start-cmd': ['a'] }, 'config file FILE: key "start-cmd" must be a string, got a list'],
    [{ restart: 'no' }, 'config file FILE: key "restart" must be one of never, on-failure, always, got "no"'],
    [{ 'start-env': 'A=1' }, 'config file FILE: key "start-env" must be an object of strings, got a string'],
    [{ 'start-env': { A: 1 } }, 'config file FILE: key "start-env.A" must be a string, got the number 1'],
    [{ port: null, x: 1 }, 'config file FILE: key "port" must be an integer, got null; unknown key "x"'],
  ])('%j is refused with the name of the key', async (content, problem) => {
    expect(await commandOf(content)).toEqual(typeof problem === 'string' ? problem : expect.stringMatching(problem))
  })

  test('that cannot be read is refused with its path', () => {
    const command = readConfig(['-config', '/nowhere/envd.json'], {})
    expect(command).toHaveProperty('problem', expect.stringMatching(/^config file \/nowhere\/envd.json: ENOENT/))
  })

  test('is described by scripts/config.schema.json (written by scripts/config-schema)', async () => {
    const path = new URL('../scripts/config.schema.json', import.meta.url)
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(JSON.parse(JSON.stringify(configSchema())))
  })
})

test('seconds that no timer takes are refused', () => {
  expect(readConfig(['-reader-stall=86400'], {})).not.toHaveProperty('problem')
  expect(readConfig(['-reader-stall=2147484'], {})).toMatchObject({
    problem: 'reader-stall must be 1 to 86400, got 2147484',
  })
})
