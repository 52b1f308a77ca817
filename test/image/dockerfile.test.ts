import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { Sandbox } from 'e2b'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { bundle, equip, type Image, imageOf, needsMade, skippedReason } from './root.ts'

const run = promisify(execFile)

beforeEach((context) => {
  needsNamespace(context)
  needsMade(context, 'build')
})

describe('the image `sandbox`', () => {
  let image: Image
  beforeAll(async () => {
    if (skippedReason('build') !== undefined) return
    image = imageOf('sandbox')
    await equip(image.root, 'bundle')
  })

  interface Container extends AsyncDisposable {
    readonly sandbox: Sandbox
    /** What `docker stop` does: SIGTERM to its process 1. Gives the exit code. */
    stop(): Promise<number>
  }

  /** A container of it: the image's own command as process 1, in its root. Disposing stops it. */
  async function container(): Promise<Container> {
    const { Entrypoint, Cmd } = image.config
    const outside = ['unshare', '--pid', '--fork', '--kill-child', `--mount-proc=${image.root}/proc`] as const
    const daemon = await startDaemon({ launch: [...outside, 'chroot', image.root, ...Entrypoint, ...Cmd] })
    const sandbox = await Sandbox.connect('anything', { debug: true, sandboxUrl: daemon.url })
    const process1 = Number(await readFile(`/proc/${daemon.pid}/task/${daemon.pid}/children`, 'utf8'))
    let stopped: Promise<number> | undefined
    const stop = () => {
      if (stopped === undefined) process.kill(process1, 'SIGTERM')
      stopped ??= daemon.ended
      return stopped
    }
    return { sandbox, stop, [Symbol.asyncDispose]: async () => expect(await stop()).toBe(0) }
  }

  test('runs commands as `user`, who may become root, with the promised tools', async () => {
    await using daemon = await container()
    const { commands } = daemon.sandbox
    expect((await commands.run('id -un; pwd; sudo -n id -u')).stdout).toBe('user\n/home/user\n0\n')
    for (const tool of ['bash', 'git', 'curl', 'python3', 'sudo']) {
      expect(await commands.run(`${tool} --version`)).toMatchObject({ exitCode: 0 })
    }
  })

  test('D43 as process 1 it reaps 100 orphans', async () => {
    await using daemon = await container()
    const { commands } = daemon.sandbox
    const made = await commands.run(
      'for i in $(seq 100); do (sh -c "sleep 0.2; exit 3" &); done; ps -e -o comm= | grep -c "^sleep$"',
    )
    expect(Number(made.stdout)).toBeGreaterThan(50)
    const left = async () => (await commands.run('ps -e -o stat=,comm=')).stdout
    await expect.poll(left, { timeout: 20_000 }).not.toMatch(/^Z|sleep/m)
  })

  test('SIGTERM reaches the commands, and the container ends with 0 in time', async () => {
    await using daemon = await container()
    const { sandbox } = daemon
    const ready = Promise.withResolvers<void>()
    await sandbox.commands.run(
      'trap "echo heard >/home/user/heard; exit" TERM; echo ready; while :; do sleep 0.05; done',
      {
        background: true,
        timeoutMs: 0,
        onStdout: () => ready.resolve(),
      },
    )
    await ready.promise
    expect(await daemon.stop()).toBe(0)
    expect(await readFile(`${image.root}/home/user/heard`, 'utf8')).toBe('heard\n')
  })

  test('its health check distinguishes a daemon that lives from one that does not', async () => {
    const [kind, ...command] = image.config.Healthcheck.Test
    expect(kind).toBe('CMD')
    const check = () => run('chroot', [image.root, ...command])
    await expect(check()).rejects.toMatchObject({ code: 7 })
    const { Entrypoint, Cmd } = image.config
    await using _daemon = await startDaemon({ launch: ['chroot', image.root, ...Entrypoint, ...Cmd], port: 49983 })
    await check()
    expect(image.config.ExposedPorts).toEqual({ '49983/tcp': {} })
  })
})

test('the image `bundle` holds the directory of `npm run bundle` and nothing else', async () => {
  const names = async (directory: string) => (await readdir(directory, { recursive: true })).sort()
  expect(await names(imageOf('bundle').root)).toEqual(await names(bundle))
})
