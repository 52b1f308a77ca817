import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { expect } from 'vitest'
import { type ByteBudget, createByteBudget } from '../../src/budget/budget.ts'
import type { Cpus } from '../../src/cpus/cpus.ts'
import { NO_CPUS } from '../../src/cpus/cpus.ts'
import { buildApp } from '../../src/http/app/app.ts'
import { createRequestBodies, type RequestBodies } from '../../src/http/body/request-bodies.ts'
import { envsRoute } from '../../src/http/routes/envs.ts'
import { healthRoute } from '../../src/http/routes/health.ts'
import { initRoute } from '../../src/http/routes/init.ts'
import { metricsRoute } from '../../src/http/routes/metrics.ts'
import { createListener, type Listener, type ListenerOptions } from '../../src/http/server/listener.ts'
import { type AccessToken, createAccessToken } from '../../src/init/access-token.ts'
import type { HostSetup } from '../../src/init/application.ts'
import { createClock } from '../../src/init/clock.ts'
import { createInitialization, type FrozenWorkload, type Initialization } from '../../src/init/initialization.ts'
import { NO_PROGRESS } from '../../src/init/kept-state.ts'
import { type Mmds, NO_MMDS } from '../../src/init/mmds/mmds.ts'
import { createCallCounts } from '../../src/metrics/calls.ts'
import { MACHINE, type Sources } from '../../src/metrics/hierarchy.ts'
import { openResourceReader } from '../../src/metrics/resource-reader.ts'
import type { LiveFigures } from '../../src/metrics/sample.ts'
import { Sampler } from '../../src/metrics/sampler.ts'
import { createDefaults, type Defaults } from '../../src/users/defaults.ts'
import { createUsers } from '../../src/users/users.ts'
import { type LogLine, recordingLog } from '../_util/recording-log.ts'

/** Of a machine whose number of CPUs is not set by the daemon. */
const NO_CPU_TARGET = { possible: 0, target: 0, attempts: 0, pendingMs: 0 }

/** The listener and the app of a daemon, in this process. Disposing closes it and fails if a connection is left. */
export interface Front extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly listener: Listener
  readonly token: AccessToken
  readonly defaults: Defaults
  readonly budget: ByteBudget
  readonly initialization: Initialization
  readonly bodies: RequestBodies
  /** All but the line that each request has. */
  readonly logged: LogLine[]
  /** Times in nanoseconds that the clock was set to. */
  readonly clockSettings: bigint[]
}

export interface FrontOptions {
  readonly address?: string
  readonly port?: number
  /** Where the metrics come from. */
  readonly sources?: Sources
  /** What metrics report beside samples; default: nothing is known. */
  readonly live?: LiveFigures
  /** Milliseconds without a byte of a body. */
  readonly stallMs?: number
  /** Milliseconds between samples. */
  readonly period?: number
  readonly listening?: Omit<ListenerOptions, 'log' | 'token'>
  readonly defaults?: Defaults
  /** The metadata service; default: there is none. */
  readonly metadata?: Pick<Mmds, 'look'>
  /** What `/init` changes on the machine; default: nothing, and nothing fails. */
  readonly host?: HostSetup
  /** A freeze of the workload; default: there is none. */
  readonly frozen?: FrozenWorkload
  /** The CPUs; default: none of the daemon's business. */
  readonly cpus?: Pick<Cpus, 'request' | 'figures'>
  /** Beside health, envs, metrics and init. */
  readonly routes?: readonly ((app: FastifyInstance) => void)[]
}

const NO_HOST: HostSetup = {
  hyperloop: { set: async () => {} },
  caBundle: { check: async () => {}, install: async () => {} },
  volumes: { check: () => {}, mount: async () => {} },
}

const NOT_FROZEN: FrozenWorkload = {
  generation: 0,
  idle: async () => {},
  audit: async () => undefined,
  thaw: async () => true,
}

/** What the front reports as `X-Envd-Memory`. */
export const NO_MEMORY = '{"request":0,"low":0,"floor":0,"partial":true}'

/** Starts a front on a free port of 127.0.0.1. The machine's clock is never set. */
export async function startFront(options: FrontOptions = {}): Promise<Front> {
  const { log, lines } = recordingLog()
  const token = createAccessToken()
  const defaults = options.defaults ?? createDefaults({ user: 'root', workdir: undefined, notFirecracker: true })
  const clockSettings: bigint[] = []
  const setClock = (seconds: number, nanoseconds: number) => {
    clockSettings.push(BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds))
  }
  const initialization = createInitialization({
    token,
    defaults,
    clock: createClock({ log, setClock }),
    metadata: options.metadata ?? NO_MMDS,
    host: options.host ?? NO_HOST,
    frozen: options.frozen ?? NOT_FROZEN,
    cpus: options.cpus ?? NO_CPUS,
    progress: NO_PROGRESS,
    onApplied: () => {},
    log,
  })
  const sampler = new Sampler({
    resources: openResourceReader(options.sources ?? MACHINE),
    activity: () => ({ commands: 0, watchers: 0, watchEventsDropped: 0, watchOverflows: 0, serviceRestarts: 0 }),
    log,
    ...(options.period === undefined ? {} : { period: options.period }),
  })
  const live = () => options.live ?? { cpus: NO_CPU_TARGET, oomKills: undefined }
  const budget = createByteBudget(256 * 1024 * 1024)
  const bodies = createRequestBodies({
    budget,
    token,
    ...(options.stallMs === undefined ? {} : { stallMs: options.stallMs }),
  })
  const listener = createListener({ log, token, ...options.listening })
  const metrics = metricsRoute({ sampler, live, calls: createCallCounts(), budget, idleSeconds: () => 0 })
  const app = buildApp({
    log,
    token,
    users: createUsers(),
    onTokenShown: listener.showedToken,
    serverFactory: listener.serverFactory,
    routes: [
      healthRoute,
      (scope) => envsRoute(scope, { defaults, budget }),
      metrics.register,
      (scope) => initRoute(scope, { initialization, bodies, memory: NO_MEMORY }),
      ...(options.routes ?? []),
    ],
    direct: [metrics.direct],
  })
  await app.ready()
  await sampler.start()
  const port = await listener.listen({ address: options.address ?? '127.0.0.1', port: options.port ?? 0 })
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    listener,
    token,
    defaults,
    budget,
    initialization,
    bodies,
    get logged() {
      return lines.filter(({ message }) => message !== 'request')
    },
    clockSettings,
    async [Symbol.asyncDispose]() {
      await listener.close(1000)
      await app.close()
      await sampler.stop()
      expect(listener.openConnections).toBe(0)
    },
  }
}

/** A TCP connection that writes what it is told and collects what comes. */
export interface RawClient extends Disposable {
  readonly socket: Socket
  write(text: string | Uint8Array): void
  /** All bytes so far, as latin1. */
  received(): string
  /** Resolves with all that came, once the other side has ended the connection. */
  readonly closed: Promise<string>
}

export async function connectRaw(port: number, host = '127.0.0.1'): Promise<RawClient> {
  const socket = connect({ port, host, allowHalfOpen: true })
  let received = ''
  socket.setEncoding('latin1').on('data', (text: string) => {
    received += text
  })
  socket.on('error', () => {})
  const closed = new Promise<string>((resolve) => {
    socket.once('end', () => resolve(received)).once('close', () => resolve(received))
  })
  await once(socket, 'connect')
  return {
    socket,
    write: (text) => {
      socket.write(text)
    },
    received: () => received,
    closed,
    [Symbol.dispose]: () => {
      socket.destroy()
    },
  }
}
