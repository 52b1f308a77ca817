import { randomBytes } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { copyHome } from './home.ts'
import type { Sandbox } from './sandbox.ts'

/** A kept home, which sandboxes can be created from. */
export interface Snapshot {
  /** With its tag. */
  readonly id: string
  readonly names: readonly string[]
  readonly sandboxId: string
  readonly home: string
}

const TAG = ':default'

/** Snapshots of sandboxes: their homes. Processes and what lies elsewhere are not in them. */
export class Snapshots {
  readonly #directory: string
  readonly #all = new Map<string, Snapshot>()

  /** @param directory where they are kept; made when the first comes. */
  constructor(directory: string) {
    this.#directory = directory
  }

  /** Of a name that has one already, the new one takes the place. */
  async create(sandbox: Sandbox, name: string | undefined): Promise<Snapshot> {
    await mkdir(this.#directory, { recursive: true, mode: 0o755 })
    const key = randomBytes(10).toString('hex')
    const home = join(this.#directory, key)
    await sandbox.still(() => copyHome(sandbox.home, home))
    const id = tagged(name ?? key)
    const replaced = this.#all.get(id)
    const snapshot = { id, names: name === undefined ? [] : [id], sandboxId: sandbox.id, home }
    this.#all.set(id, snapshot)
    if (replaced !== undefined) await rm(replaced.home, { recursive: true, force: true })
    return snapshot
  }

  /** With or without its tag. */
  find(name: string): Snapshot | undefined {
    return this.#all.get(tagged(name))
  }

  list(): Snapshot[] {
    return [...this.#all.values()]
  }

  /** Whether there was one of that name. */
  async remove(name: string): Promise<boolean> {
    const snapshot = this.find(name)
    if (snapshot === undefined) return false
    this.#all.delete(snapshot.id)
    await rm(snapshot.home, { recursive: true, force: true })
    return true
  }
}

function tagged(name: string): string {
  return name.includes(':') ? name : name + TAG
}
