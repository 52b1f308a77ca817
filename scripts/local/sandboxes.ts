import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { longTimeout } from '../../src/lib/long-timeout.ts'
import type { SandboxRequest } from './request.ts'
import { type Ground, Sandbox } from './sandbox.ts'
import { Snapshots } from './snapshots.ts'

/** All sandboxes of this control plane. */
export class Sandboxes {
  readonly snapshots: Snapshots
  readonly #ground: Ground
  readonly #all = new Map<string, Sandbox>()

  constructor(ground: Ground) {
    this.#ground = ground
    this.snapshots = new Snapshots(join(ground.directory, 'snapshots'))
  }

  /** Old clients write `<id>-<client id>`. */
  find(name: string): Sandbox | undefined {
    return this.#all.get(name.split('-', 1)[0] ?? '')
  }

  /** The one that is guarded by this token. */
  findByToken(token: string): Sandbox | undefined {
    const digest = (text: string) => createHash('sha256').update(text).digest()
    const wanted = digest(token)
    return this.list().find((sandbox) => sandbox.token !== undefined && timingSafeEqual(digest(sandbox.token), wanted))
  }

  /** The newest first. */
  list(): Sandbox[] {
    return [...this.#all.values()].reverse()
  }

  /** @param from a home to begin with; default: that of the snapshot which the template is, or an empty one. */
  async create(request: SandboxRequest, from = this.snapshots.find(request.templateID)?.home): Promise<Sandbox> {
    const id = `i${randomBytes(10).toString('hex').slice(0, 19)}`
    const onEnded = (ended: Sandbox) => void this.kill(ended)
    const sandbox = await Sandbox.create({ id, request, from, ground: this.#ground, onEnded })
    this.#all.set(id, sandbox)
    this.setTimeout(sandbox, request.timeout)
    return sandbox
  }

  /** New sandboxes that begin with the home of another; its processes are not carried over. */
  async fork(origin: Sandbox, { count, timeout }: { count: number; timeout: number }): Promise<(Sandbox | Error)[]> {
    const snapshot = await this.snapshots.create(origin, undefined)
    try {
      const made = Array.from({ length: count }, () => this.create({ ...origin.request, timeout }, snapshot.home))
      const settled = await Promise.allSettled(made)
      return settled.map((one) => (one.status === 'fulfilled' ? one.value : new Error(String(one.reason))))
    } finally {
      await this.snapshots.remove(snapshot.id)
    }
  }

  /** It ends, or is paused, that many seconds from now. */
  setTimeout(sandbox: Sandbox, seconds: number): void {
    sandbox.cancelEnd()
    sandbox.endAt = new Date(Date.now() + seconds * 1000)
    const { autoPause, autoPauseMemory } = sandbox.request
    const end = () => (autoPause ? sandbox.pause(autoPauseMemory) : this.kill(sandbox))
    sandbox.cancelEnd = longTimeout(seconds * 1000, () => void end())
  }

  /**
   * A paused one goes on, with its processes if they are wanted and were kept; the end of a running one only ever comes
   * later.
   */
  async connect(sandbox: Sandbox, seconds: number, withMemory = true): Promise<void> {
    const paused = sandbox.state === 'paused'
    if (paused) await sandbox.resume(withMemory)
    if (paused || sandbox.endAt.getTime() < Date.now() + seconds * 1000) this.setTimeout(sandbox, seconds)
  }

  /** Its processes end where they stand, and its directory goes. Idempotent. */
  async kill(sandbox: Sandbox): Promise<void> {
    this.#all.delete(sandbox.id)
    await sandbox.kill()
    await rm(sandbox.directory, { recursive: true, force: true })
  }

  async close(): Promise<void> {
    await Promise.all(this.list().map((sandbox) => this.kill(sandbox)))
  }
}
