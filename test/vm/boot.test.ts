import { Sandbox } from 'e2b'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { VERSION } from '../../src/version.ts'
import { asUser, pidOf, start, transcript } from '../_util/rpc.ts'
import { connect, sendInput } from '../process/calls.ts'
import { bootMachine, type Machine, SANDBOX, statusOf } from './machine.ts'
import { needsVm, skippedReason } from './qemu.ts'

const SERVICE = '/sys/fs/cgroup/envd.slice/envd.service'
const MIB = 2 ** 20

/** What no boot may leave on the console. The root has no modules but those of the initrd, and systemd misses one. */
const COMPLAINTS =
  /\[FAILED\]|Failed(?! to find module 'autofs4')|BUG|Oops|Call Trace|Out of memory|hung task|EXT4-fs error|segfault/

describe.each([
  ['amd64', 512],
  ['amd64', 256],
  ['arm64', 512],
] as const)('a machine of %s with %i MB', (arch, memoryMib) => {
  let machine: Machine
  beforeEach((context) => needsVm(context, arch))
  beforeAll(async () => {
    if (skippedReason(arch) === undefined) machine = await bootMachine(memoryMib, arch)
  })
  afterAll(async () => machine?.[Symbol.asyncDispose]())

  test('K4 boots, answers health and takes the loop of /init', async () => {
    const boot = await machine.healthy()
    const before = performance.now()
    expect(await machine.init()).toMatchObject({ 'x-envd-version': expect.any(String) })
    console.log(JSON.stringify({ arch, memoryMib, boot, init: Math.round(performance.now() - before) }))
  })

  test('A12 A14 the ids of the sandbox are there for the first command', async () => {
    const reported = await machine.sh(
      'echo $E2B_SANDBOX_ID $E2B_TEMPLATE_ID; cd /run/e2b; cat .E2B_SANDBOX_ID .E2B_TEMPLATE_ID',
    )
    expect(reported).toBe(`${SANDBOX.id} ${SANDBOX.templateId}\n${SANDBOX.id}${SANDBOX.templateId}`)
  })

  test('the SDK runs commands, writes files and opens a terminal', async () => {
    const sandbox = new Sandbox({
      sandboxId: SANDBOX.id,
      envdVersion: VERSION,
      ...(SANDBOX.token !== undefined && { envdAccessToken: SANDBOX.token }),
      sandboxUrl: machine.url,
      debug: true,
    })
    expect(await sandbox.commands.run('id -un; id -u; pwd')).toMatchObject({
      exitCode: 0,
      stdout: 'user\n1000\n/home/user\n',
    })
    await sandbox.files.write('hello.txt', 'from the SDK')
    expect(await sandbox.files.read('/home/user/hello.txt')).toBe('from the SDK')
    const terminal = await sandbox.pty.create({ cols: 90, rows: 30, onData: () => {}, timeoutMs: 120_000 })
    await sandbox.pty.sendInput(terminal.pid, Buffer.from('stty size >size; exit\n'))
    expect((await terminal.wait()).exitCode).toBe(0)
    expect(await sandbox.files.read('size')).toBe('30 90\n')
  })

  test('systemd has started everything and nothing failed', async () => {
    await expect.poll(() => machine.sh('systemctl is-system-running || true')).toBe('running')
    expect(await machine.sh('systemctl list-units --state=failed --no-legend')).toBe('')
  })

  test('K1 the unit is in its slice, with weights and protection in force at every ancestor', async () => {
    expect(await machine.sh('systemctl show envd --property ControlGroup --value')).toBe('/envd.slice/envd.service')
    for (const group of [SERVICE, '/sys/fs/cgroup/envd.slice']) {
      const values = await machine.sh(`cd ${group} && cat memory.min memory.low cpu.weight io.weight`)
      expect(values.split('\n')).toEqual([String(50 * MIB), String(100 * MIB), '1000', 'default 10000'])
    }
    const daemon = '$(pgrep -x envd)'
    expect(await machine.sh(`cat /proc/${daemon}/oom_score_adj; ps -o ni= -p ${daemon} | tr -d ' '`)).toBe('-1000\n-20')
    // What is kept back for the daemon and the system is at least 96 MiB.
    const max = Number(await machine.sh('cat /sys/fs/cgroup/user/memory.max'))
    expect(max).toBeGreaterThan(0)
    expect(max).toBeLessThanOrEqual((memoryMib - 96) * MIB)
  })

  test('log lines reach the collector', async () => {
    await expect.poll(() => machine.collector.lines().length).toBeGreaterThan(0)
    expect(machine.collector.lines()).toContainEqual(expect.objectContaining({ instanceID: SANDBOX.id }))
  })

  if (memoryMib === 512) testRestarts(() => machine)

  test('powers off, and nothing went wrong on the console', async () => {
    await machine.sh('systemctl poweroff').catch(() => {})
    expect(await machine.qemu.ended).toBe(0)
    expect(await statusOf(machine.url)).toBeUndefined()
    expect((await machine.qemu.console()).split('\n').filter((line) => COMPLAINTS.test(line))).toEqual([])
  })
})

/** Memory has no part in them: one machine is enough. */
function testRestarts(machine: () => Machine): void {
  test.for(['KILL', 'SEGV'] as const)('commands live when the daemon ends by SIG%s', async (signal) => {
    const headers = { ...machine().headers, ...asUser('user') }
    const first = await start(machine().url, '/bin/sh', { args: ['-c', 'read line; echo "got $line"'], headers })
    const pid = await pidOf(first)
    const daemon = await machine().sh('pgrep -x envd')
    await machine()
      .sh(`kill -${signal} ${daemon}`)
      .catch(() => {})
    await expect(first.rest()).rejects.toThrow()
    await machine().healthy()
    expect(await machine().sh('pgrep -x envd')).not.toBe(daemon)
    const again = await connect(machine().url, { pid }, { headers })
    await sendInput(machine().url, { pid }, { stdin: 'hello\n' }, { headers })
    expect(String((await transcript(again)).stdout)).toBe('got hello\n')
  })

  test('K1 the service comes back when all of it is killed', async () => {
    const keeper = await machine().sh('systemctl show envd --property MainPID --value')
    await machine()
      .sh(`kill -KILL ${keeper}`)
      .catch(() => {})
    await expect
      .poll(() =>
        machine()
          .init()
          .then(() => machine().sh('systemctl show envd --property MainPID,NRestarts --value')),
      )
      .toMatch(/^(?!0)\d+\n1$/)
    expect(await machine().sh('systemctl show envd --property MainPID --value')).not.toBe(keeper)
  })

  test('reboots, with its disk', async () => {
    const boots = async () => (await machine().qemu.console()).split('Linux version').length - 1
    const before = await boots()
    await machine()
      .sh('echo kept >/home/user/kept; systemctl reboot')
      .catch(() => {})
    // A slow machine resets itself again before the first time has worked, and boots once.
    await expect.poll(() => machine().qemu.monitor.events).toContain('RESET')
    await machine().healthy()
    await machine().init()
    expect(await boots()).toBe(before + 1)
    expect(await machine().sh('cat /home/user/kept; systemctl list-units --state=failed --no-legend')).toBe('kept')
  })
}
