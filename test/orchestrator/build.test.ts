import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import type { Machine } from './machine.ts'
import type { Sandbox } from './orchestrator.ts'
import { BOOT_MS, changes, listed, PLAYING, type Play, startHogs, startPlay } from './play.ts'
import { createTemplateBuild } from './template-build.ts'

const TEMPLATE: Sandbox = { id: 'build', templateId: 'template', defaultUser: 'user', defaultWorkdir: '/home/user' }
const USER = { user: 'user', env: {} }
const ROOT = { user: 'root', env: {} }

/** Ready for build commands, with health checks and load. */
async function beginBuild({ machine, platform, probe }: Play): Promise<void> {
  platform.provision(TEMPLATE)
  machine.boot()
  await platform.init(TEMPLATE, BOOT_MS)
  probe.go()
  await startHogs(machine, TEMPLATE)
}

function sendFile({ url }: Machine, path: string, content: string) {
  const form = [
    '--limit\r\nContent-Disposition: form-data; name="file"; filename="any"\r\n',
    `Content-Type: application/octet-stream\r\n\r\n${content}\r\n--limit--\r\n`,
  ]
  return sendWhole(`${url}/files?path=${encodeURIComponent(path)}&username=root`, {
    method: 'POST',
    headers: { 'content-type': 'multipart/form-data; boundary=limit' },
    body: form.join(''),
  })
}

test(
  'K11 K12 K14 K15 K16 K17 K26 what goes wrong in a build is reported with its status, and what overruns its time is ended',
  PLAYING,
  async (context) => {
    await using play = await startPlay(context)
    await beginBuild(play)
    const { machine } = play
    const build = createTemplateBuild(machine.url, TEMPLATE)

    expect(await build.run('test -p /dev/stdin && echo open', USER)).toBe('open\n')
    expect(await build.run('pwd', { ...USER, workdir: '/tmp' })).toBe('/tmp\n')
    await expect(build.run('exit 3', ROOT)).rejects.toThrow('exit status 3')
    await expect(build.run('kill -KILL $$', ROOT)).rejects.toThrow('signal: killed')

    expect((await sendFile(machine, '/opt/copied', 'content')).status).toBe(200)
    expect(await build.run('cat /opt/copied; stat -c %U /opt/copied', USER)).toBe('contentroot\n')

    const failing = await build.start('read -t 0.1; exit 4', USER)
    await expect(failing.done).rejects.toThrow('exit status 4')
    const forking = await build.start('sleep 1000 >/dev/null & exit 0', USER)
    await forking.done

    // Too short for a second attempt: the one that overruns is ended by the daemon.
    await expect(build.ready('echo $$ >/tmp/overrunning; exec sleep 1000', USER, 1500)).rejects.toThrow('deadline')
    const overrunning = Number(await readFile(join(machine.root, 'tmp/overrunning'), 'utf8'))
    await expect.poll(() => listed(machine, TEMPLATE)).not.toContain(overrunning)
  },
)

test(
  'K2 K18 an update of the daemon: what runs lives on, the new one begins with the next init, and builds go on',
  PLAYING,
  async (context) => {
    await using play = await startPlay(context)
    await beginBuild(play)
    const { machine, platform, probe } = play
    const build = createTemplateBuild(machine.url, TEMPLATE)
    const server = await build.start('while :; do date +%s%N >beat; sleep 0.02; done', USER)
    await expect.poll(() => build.run('cat beat', USER).catch(() => '')).not.toBe('')

    expect((await sendFile(machine, '/tmp/envd_updated', '#!/bin/sh\n')).status).toBe(200)
    await build.run(
      'chmod +x /tmp/envd_updated && mkdir -p /opt && mv -f /tmp/envd_updated /opt/envd && test -x /opt/envd',
      ROOT,
    )
    await probe.stop()
    await machine.stopDaemon()
    await expect(server.done).rejects.toThrow()
    await changes(machine, 'home/user/beat')
    machine.boot()
    await platform.init(TEMPLATE, BOOT_MS)
    probe.go()
    expect(await build.run('id -un; pwd', USER)).toBe('user\n/home/user\n')
    await changes(machine, 'home/user/beat')
  },
)

/** From which version on the platform asks for what (contract K25). */
const GATES = {
  'access token': '0.2.0',
  clock: '0.2.11',
  snapshots: '0.5.0',
  'network rules': '0.5.13',
  volumes: '0.5.14',
  freeze: '0.6.3',
  collapse: '0.6.5',
  fsfreeze: '0.6.6',
  upgrade: '0.6.12',
}

test(
  'K8 K25 N40 the version that is reported opens every gate, and an upgrade that is refused changes nothing',
  PLAYING,
  async (context) => {
    await using play = await startPlay(context)
    await beginBuild(play)
    const { machine, platform } = play
    const { 'x-envd-version': version = '' } = await platform.init(TEMPLATE, BOOT_MS)
    const order = new Intl.Collator('en', { numeric: true })
    for (const [feature, gate] of Object.entries(GATES)) {
      expect(order.compare(version, gate), `${version} for ${feature}`).toBeGreaterThanOrEqual(0)
    }
    const upgrade = await sendWhole(`${machine.url}/upgrade`, { method: 'POST', body: Buffer.alloc(5_000_000) })
    expect(upgrade.status).toBe(500)
    expect(await platform.init(TEMPLATE, BOOT_MS)).toMatchObject({ 'x-envd-version': version })
    expect(await createTemplateBuild(machine.url, TEMPLATE).run('echo on', USER)).toBe('on\n')
  },
)
