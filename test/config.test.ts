import { expect, test } from 'vitest'
import { type Config, readConfig } from '../src/config.ts'

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
    verbose: false,
    noCgroups: false,
    cgroupRoot: '/sys/fs/cgroup',
    killOnExit: false,
    defaultUser: '',
    defaultWorkdir: undefined,
    outputWindow: 32 * 1024 * 1024,
    readerStall: 60_000,
    runDir: '/run/e2b',
    path: '/bin',
    noFile: undefined,
  })
})

test('A1 every flag of the reference is understood', () => {
  const argv = '-isnotfc --port 1234 -cgroup-root=/cg -no-cgroups=true --verbose=1'.split(' ')
  expect(configOf(argv)).toMatchObject({
    port: 1234,
    notFirecracker: true,
    verbose: true,
    noCgroups: true,
    cgroupRoot: '/cg',
  })
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
      'port must be 0 to 65535, got 65536; address must be an IP address or localhost, got *; output-window must not be negative, got -1; reader-stall must be positive, got 0',
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
