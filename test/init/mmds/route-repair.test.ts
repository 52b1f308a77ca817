import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createHostCommands } from '../../../src/init/host/commands.ts'
import { createRouteRepair } from '../../../src/init/mmds/route-repair.ts'
import { NEVER } from '../../../src/lib/never.ts'
import { needsNamespace } from '../../_util/namespace.ts'
import { recordingLog } from '../../_util/recording-log.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'

const RULE = '-d 169.254.169.254 -p tcp --dport 80 -j RETURN'

/** A PATH with an `iptables` that notes its arguments and then does what it is told. */
async function makeRig(behaviour: string) {
  const tmp = await makeTmpDir()
  const notes = join(tmp.path, 'notes')
  const program = join(tmp.path, 'iptables')
  await writeFile(notes, '')
  await writeFile(program, `#!/bin/sh\necho "$@" >>'${notes}'\n${behaviour}\n`)
  await chmod(program, 0o755)
  const { log, lines } = recordingLog()
  const { run } = createHostCommands(`${tmp.path}:/usr/bin:/bin`)
  const called = async () => (await readFile(notes, 'utf8')).split('\n').slice(0, -1)
  const repair = createRouteRepair({ run, signal: NEVER, log })
  return { repair, called, lines, run, [Symbol.asyncDispose]: () => tmp[Symbol.asyncDispose]() }
}

test('G20 in both nat chains the rule is taken out and put at the head', async () => {
  await using rig = await makeRig('[ "$5" = -I ]')
  await rig.repair()
  const called = await rig.called()
  for (const chain of ['PREROUTING', 'OUTPUT']) {
    expect(called.filter((line) => line.includes(chain))).toEqual([
      `-w 5 -t nat -D ${chain} ${RULE}`,
      `-w 5 -t nat -I ${chain} 1 ${RULE}`,
    ])
  }
  expect(called).toHaveLength(4)
  expect(rig.lines).toEqual([])
})

test('G20 calls that overlap are one, later ones are not', async () => {
  await using rig = await makeRig('')
  await Promise.all(Array.from({ length: 20 }, rig.repair))
  expect(await rig.called()).toHaveLength(4)
  await rig.repair()
  expect(await rig.called()).toHaveLength(8)
})

test('G20 a failure is reported once in a while, not at each call', async () => {
  await using rig = await makeRig('echo no permission; exit 4')
  for (let i = 0; i < 3; i++) await rig.repair()
  expect(rig.lines).toMatchObject([{ level: 'warn', error: 'no permission' }])
})

test('G20 without iptables there is nothing to repair and nothing to say', async () => {
  const { log, lines } = recordingLog()
  const { run } = createHostCommands('/nowhere')
  await createRouteRepair({ run, signal: NEVER, log })()
  expect(lines).toEqual([])
})

test('G20 the rules are in the kernel afterwards, once each and first', async (context) => {
  needsNamespace(context)
  const { run } = createHostCommands('/usr/sbin:/usr/bin:/sbin:/bin')
  const iptables = (...args: string[]) => run('iptables', ['-t', 'nat', ...args], { timeout: 10_000, signal: NEVER })
  const usable = await iptables('-S').catch(() => undefined)
  if (usable?.exitCode !== 0) context.skip('needs iptables with nat tables')
  const other = ['OUTPUT', '-p', 'tcp', '--dport', '9', '-j', 'REDIRECT', '--to-ports', '10']
  await iptables('-A', ...other)
  const { log, lines } = recordingLog()
  const repair = createRouteRepair({ run, signal: NEVER, log })
  for (let i = 0; i < 2; i++) await repair()
  const rules = (await iptables('-S')).output.split('\n').filter((line) => /^-A .* --dport (80|9) /.test(line))
  await iptables('-D', ...other)
  const rule = '-d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j RETURN'
  expect(rules).toEqual([
    `-A PREROUTING ${rule}`,
    `-A OUTPUT ${rule}`,
    '-A OUTPUT -p tcp -m tcp --dport 9 -j REDIRECT --to-ports 10',
  ])
  expect(lines).toEqual([])
})
