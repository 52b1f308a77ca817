import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { copyFile, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, vi } from 'vitest'
import { sendWhole } from '../_util/http.ts'

const recipes = fileURLToPath(new URL('../../scripts/recipes/', import.meta.url))
const environments = fileURLToPath(new URL('../../.cache/python/', import.meta.url))

/** The port at which the recipes expect the daemon. */
export const DAEMON_PORT = 49983

/** Far above what they take. */
const START_LIMIT_MS = 20_000

/** A proxy as its recipe sets it up, before a daemon at DAEMON_PORT. */
export interface RunningProxy extends AsyncDisposable {
  /** Where HTTP clients go. */
  readonly url: string
  /** Where gRPC clients go: host and port. */
  readonly grpc: string
}

/** How to get one. */
export interface ProxyKind {
  /** Why it cannot be run here; undefined if it can. */
  readonly missing: string | undefined
  /** Starts it and waits until it answers. At most one of a kind may run; only in the namespace of the tests. */
  start(): Promise<RunningProxy>
}

/** Debian's nginx with Debian's configuration and the recipe in its conf.d, word by word. */
export const nginx: ProxyKind = {
  missing: existsSync('/usr/sbin/nginx') ? undefined : 'nginx is missing',
  start: async () => {
    await copyFile(`${recipes}nginx.conf`, '/etc/nginx/conf.d/envd.conf')
    await rm('/etc/nginx/sites-enabled/default', { force: true })
    const child = spawn('/usr/sbin/nginx', ['-g', 'daemon off;'], { stdio: 'inherit' })
    return running(child, { url: 'http://127.0.0.1:8080', grpc: '127.0.0.1:8081' })
  },
}

/** Envoy from the Python package index with the recipe, word by word. */
export const envoy: ProxyKind = {
  missing: existsSync(`${environments}envoy/installed.txt`) ? undefined : `Envoy is missing: ${reasonOf('envoy')}`,
  start: async () => {
    const words = ['--log-level', 'warn', '--concurrency', '2', '-c', `${recipes}envoy.yaml`]
    const child = spawn(`${environments}envoy/bin/envoy`, words, { stdio: 'inherit' })
    return running(child, { url: 'http://127.0.0.1:8080', grpc: '127.0.0.1:8080' })
  },
}

/** Why that environment of `scripts/python-environments` is not there. */
export function reasonOf(environment: string): string {
  const file = `${environments}${environment}.unavailable`
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : 'scripts/python-environments was not run'
}

async function running(child: ChildProcess, where: { url: string; grpc: string }): Promise<RunningProxy> {
  const ended = once(child, 'exit')
  const answers = async () => expect((await sendWhole(`${where.url}/health`)).status).toBe(204)
  await vi.waitFor(answers, { timeout: START_LIMIT_MS })
  return {
    ...where,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await ended
    },
  }
}
