import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { VERSION } from '../../src/version.ts'
import { sendWhole } from '../_util/http.ts'
import { asUser, call, open, pidOf, type RunOptions, shell } from '../_util/rpc.ts'
import { bundle } from '../init/host/bundle.ts'
import type { Machine } from './machine.ts'
import { type Sandbox, tokenHeader } from './orchestrator.ts'
import { BOOT_MS, changes, listed, PLAYING, RESUME_MS, sandboxOf, startHogs, startPlay } from './play.ts'
import { BUSY_PERCENT } from './processors.ts'
import { createTemplateBuild } from './template-build.ts'

const USER = { user: 'user', workdir: '/home/user', env: { STAGE: 'build', PATH: '/opt/tools' } }
const ROOT = { user: 'root', env: {} }
/** A start command, and what says that it goes on. */
const START = 'echo started; while :; do date +%s%N >beat; sleep 0.02; done'
const BEAT = 'home/user/beat'
/** Fails at first. */
const READY = 'test -e asked || { touch asked; exit 7; }'

/** The first process after an answer of `/init`, and what it is told of the sandbox. */
async function ids({ url }: Machine, sandbox: Sandbox): Promise<string> {
  const script = 'echo $E2B_SANDBOX_ID $E2B_TEMPLATE_ID $OF'
  return String((await as(url, sandbox, script)).stdout).trim()
}

async function cpuUsed({ url }: Machine): Promise<number> {
  return JSON.parse((await sendWhole(`${url}/metrics`)).text).cpu_used_pct
}

function as(url: string, sandbox: Sandbox, script: string, options: RunOptions = {}) {
  return shell(url, script, { ...options, headers: tokenHeader(sandbox) })
}

test(
  'K3 K4 K5 K6 K7 K8 K11 K13 K14 K15 K16 K20 K21 K22 K23 K24 a sandbox is built, snapshot, rolled back, resumed and checkpointed under load, and no call misses its time',
  PLAYING,
  async (context) => {
    await using play = await startPlay(context)
    const { machine, platform, probe } = play

    const template: Sandbox = { id: 'build', templateId: 'template', defaultUser: 'user', defaultWorkdir: '/home/user' }
    platform.provision(template)
    machine.boot()
    expect(await platform.init(template, BOOT_MS)).toMatchObject({ 'x-envd-version': VERSION })
    probe.go()
    await startHogs(machine, template)
    await expect.poll(() => cpuUsed(machine)).toBeGreaterThan(BUSY_PERCENT)

    const build = createTemplateBuild(machine.url, template)
    expect(await build.run('echo $STAGE $PATH; pwd; id -un >made', USER)).toContain('build /opt/tools:/usr/local/sbin')
    expect(await readFile(join(machine.root, 'home/user/made'), 'utf8')).toBe('user\n')
    await build.run('mkdir -p /opt/tools && chown user /opt/tools', ROOT)
    const started = await build.start(START, USER)
    expect(await build.ready(READY, USER, 600_000)).toBe(2)
    started.leave()
    await build.run('sync -f /', ROOT)
    expect(await listed(machine, template)).toContain(started.pid)
    await changes(machine, BEAT)

    // The first snapshot fails, after the disk was frozen.
    expect(await platform.prepare(template, true)).toMatchObject({ notFrozen: 0, failed: 0, unobservable: 0 })
    expect(await machine.takesWrites()).toBe(false)
    await platform.rollBack(template)
    expect(await machine.takesWrites()).toBe(true)
    await changes(machine, BEAT)

    let before = template
    for (const sandbox of [
      sandboxOf('one', { envVars: { OF: 'one' } }),
      sandboxOf('two', { envVars: { OF: 'two' }, hyperloopIP: '10.11.12.13', caBundle: bundle(1000) }),
    ]) {
      expect(await platform.prepare(before, false)).toMatchObject({ notFrozen: 0, failed: 0, mode: 'hierarchy' })
      await probe.stop()
      machine.pause()
      platform.provision(sandbox)
      machine.resume()

      // From a host whose clock is wrong: it thaws, and sets nothing.
      const late = await platform.init(sandbox, RESUME_MS, '2020-01-01T00:00:00Z')
      expect(late).toMatchObject({ 'x-envd-freeze-audit': expect.stringContaining('"escaped":0') })
      await changes(machine, BEAT)
      expect(String((await as(machine.url, before, 'echo $OF')).stdout).trim()).toBe(before.envVars?.['OF'] ?? '')

      await platform.init(sandbox, RESUME_MS)
      expect(await ids(machine, sandbox)).toBe(`${sandbox.id} template ${sandbox.id}`)
      probe.go(sandbox.token)
      const unknown = await call(machine.url, 'process.Process/List', {}, { headers: tokenHeader(before) })
      expect(unknown).toMatchObject({ status: 401 })
      expect(await listed(machine, sandbox)).toContain(started.pid)
      const selector = { process: { pid: started.pid } }
      const connected = await open(machine.url, 'process.Process/Connect', selector, { headers: tokenHeader(sandbox) })
      expect(await pidOf(connected)).toBe(started.pid)
      connected.close()
      before = sandbox
    }

    // Checkpoints in place: who it is and its token stay.
    for (let i = 0; i < 3; i++) {
      await platform.prepare(before, false)
      await probe.stop()
      machine.pause()
      machine.resume()
      await platform.init(before, RESUME_MS)
      probe.go(before.token)
      expect(await ids(machine, before)).toBe('two template two')
      await changes(machine, BEAT)
    }
    expect((await sendWhole(`${machine.url}/health`)).status).toBe(204)
  },
)

test(
  'K10 K19 a cold boot after a snapshot of the disk alone starts with the first attempts, and gets defaults and token anew',
  PLAYING,
  async (context) => {
    await using play = await startPlay(context)
    const { machine, platform, probe } = play
    const first = sandboxOf('first')
    platform.provision(first)
    machine.boot()
    await platform.init(first, BOOT_MS)
    probe.go(first.token)
    await startHogs(machine, first)
    await as(machine.url, first, 'echo kept >/home/user/file')
    await platform.prepare(first, true)
    await probe.stop()
    await machine.powerOff()

    const second = sandboxOf('second', { defaultUser: 'user', defaultWorkdir: '/home/user', envVars: { OF: 'second' } })
    platform.provision(second)
    machine.boot()
    await platform.init(second, BOOT_MS)
    expect(await ids(machine, second)).toBe('second template second')
    expect(String((await as(machine.url, second, 'id -un; pwd; cat file')).stdout)).toBe('user\n/home/user\nkept\n')
    expect(await call(machine.url, 'process.Process/List', {}, { headers: asUser('root') })).toMatchObject({
      status: 401,
    })
  },
)
