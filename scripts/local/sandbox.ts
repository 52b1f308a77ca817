import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { AllowedNames } from '../../src/http/access/trusted-names.ts'
import { createLock } from '../../src/lib/lock.ts'
import { type LocalDaemon, startLocalDaemon } from './daemon.ts'
import { copyHome, makeHome } from './home.ts'
import type { Person } from './person.ts'
import type { SandboxRequest } from './request.ts'

/** Where sandboxes live, and as whom. */
export interface Ground {
  /** Directory of the directories of all sandboxes. */
  readonly directory: string
  readonly person: Person
  /** As `LocalDaemonOptions.mountedAt`. */
  readonly mountedAt: string | undefined
  /** As `LocalDaemonOptions.allowed`. */
  readonly allowed: AllowedNames
}

/** What a sandbox is made of. */
export interface SandboxOptions {
  readonly id: string
  readonly request: SandboxRequest
  /** A home to begin with. Undefined: an empty one. */
  readonly from: string | undefined
  readonly ground: Ground
  /** Takes it when its daemon ended by itself. */
  readonly onEnded: (sandbox: Sandbox) => void
}

/** A sandbox: its daemon and what the control plane knows about it. Its calls run one after the other. */
export class Sandbox {
  readonly id: string
  readonly request: SandboxRequest
  readonly token: string | undefined
  readonly startedAt = new Date()
  readonly directory: string
  readonly home: string
  endAt = new Date()
  network: object | undefined
  cancelEnd: () => void = () => {}
  #daemon: LocalDaemon | undefined
  #state: 'running' | 'paused' = 'paused'
  readonly #ground: Ground
  readonly #onEnded: (sandbox: Sandbox) => void
  readonly #lock = createLock()

  private constructor({ id, request, ground, onEnded }: SandboxOptions) {
    this.id = id
    this.request = request
    this.token = request.secure ? crypto.randomUUID().replaceAll('-', '') : undefined
    this.network = request.network
    this.directory = join(ground.directory, id)
    this.home = join(this.directory, 'home')
    this.#ground = ground
    this.#onEnded = onEnded
  }

  /** Makes a sandbox with a home of its own, and initialises its daemon as a platform does. */
  static async create(options: SandboxOptions): Promise<Sandbox> {
    const sandbox = new Sandbox(options)
    await mkdir(sandbox.directory, { recursive: true, mode: 0o755 })
    if (options.from === undefined) await makeHome(sandbox.home, options.ground.person)
    else await copyHome(options.from, sandbox.home)
    await sandbox.resume()
    return sandbox
  }

  get state(): 'running' | 'paused' {
    return this.#state
  }

  /** Undefined while it has no processes. */
  get daemon(): LocalDaemon | undefined {
    return this.#daemon
  }

  /** Its processes stand still or, without their memory, end. */
  pause(keepMemory: boolean): Promise<void> {
    return this.#alone(async () => {
      this.cancelEnd()
      this.#state = 'paused'
      if (keepMemory) await this.#daemon?.pause()
      else await this.#end()
    })
  }

  /** Goes on where it was, or without its memory from its home alone. No-op for one that runs. */
  resume(withMemory = true): Promise<void> {
    return this.#alone(async () => {
      if (this.#state === 'running') return
      if (!withMemory) await this.#end()
      if (this.#daemon === undefined) await this.#start()
      else await this.#daemon.resume()
      await this.#initialize()
      this.#state = 'running'
    })
  }

  /** Does something while its processes stand still. */
  still<T>(work: () => Promise<T>): Promise<T> {
    return this.#alone(async () => {
      if (this.#state === 'paused') return work()
      await this.#daemon?.pause()
      try {
        return await work()
      } finally {
        await this.#daemon?.resume()
      }
    })
  }

  kill(): Promise<void> {
    return this.#alone(async () => {
      this.cancelEnd()
      await this.#end()
    })
  }

  async #start(): Promise<void> {
    const { person, mountedAt, allowed } = this.#ground
    const runDir = join(this.directory, 'run')
    const daemon = await startLocalDaemon({ user: person.name, home: this.home, mountedAt, runDir, allowed })
    this.#daemon = daemon
    void daemon.ended.then(() => {
      if (this.#daemon === daemon) this.#onEnded(this)
    })
  }

  async #end(): Promise<void> {
    const daemon = this.#daemon
    this.#daemon = undefined
    await daemon?.kill()
  }

  /** `POST /init`, at each start and after each pause. */
  async #initialize(): Promise<void> {
    const ids = { E2B_SANDBOX_ID: this.id, E2B_TEMPLATE_ID: this.request.templateID }
    const body = {
      envVars: { ...this.request.envVars, ...ids },
      timestamp: new Date().toISOString(),
      ...(this.token === undefined ? {} : { accessToken: this.token }),
    }
    const response = await fetch(`${this.#daemon?.url}/init`, { method: 'POST', body: JSON.stringify(body) })
    if (response.status !== 204) throw new Error(`the daemon answered its initialisation with ${response.status}`)
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    const release = await this.#lock.acquire(new AbortController().signal)
    try {
      return await work()
    } finally {
      release()
    }
  }
}
