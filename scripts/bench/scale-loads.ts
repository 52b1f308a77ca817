import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Client } from './client.ts'
import { filesPath } from './client.ts'
import type { OpenStreams } from './open-streams.ts'

/** What a load works on. */
export interface Place {
  readonly client: Client
  readonly streams: OpenStreams
  /** An empty directory. */
  readonly dir: string
}

/** Something that a daemon may have many of. */
export interface Load {
  readonly name: string
  /** How many there are when it is measured. */
  readonly steps: readonly number[]
  /** Makes the one of that number, from 0. */
  add(place: Place, index: number): Promise<unknown>
  /** The call that has to do with them. */
  readonly callName: string
  call(place: Place): Promise<unknown>
}

/** Watches share this many directories. */
const WATCHED_DIRECTORIES = 100
const UPLOAD_BEGINNING = Buffer.alloc(16 * 1024, 'x')

const startOf = (cmd: string, args: readonly string[], more: object = {}) => ({
  process: { cmd, args, envs: {}, cwd: '/' },
  ...more,
})

const readers: Load = {
  name: 'readers of one command',
  steps: [250, 500, 1000, 2000],
  async add({ streams }, index) {
    if (index === 0) await streams.open('process.Process/Start', startOf('/bin/sleep', ['100000'], { tag: 'read' }))
    await streams.open('process.Process/Connect', { process: { tag: 'read' } })
  },
  callName: 'List',
  call: ({ client }) => client.unary('process.Process/List', {}),
}

const watches: Load = {
  name: 'watches',
  steps: [250, 500, 1000, 2000],
  async add({ streams, dir }, index) {
    const path = join(dir, `watched-${index % WATCHED_DIRECTORIES}`)
    await mkdir(path, { recursive: true })
    await streams.open('filesystem.Filesystem/WatchDir', { path })
  },
  callName: 'Stat',
  call: ({ client, dir }) => client.unary('filesystem.Filesystem/Stat', { path: dir }),
}

const processes: Load = {
  name: 'running commands',
  steps: [625, 1250, 2500, 5000],
  add: ({ streams }) => streams.visit('process.Process/Start', startOf('/bin/sleep', ['100000'])),
  callName: 'List',
  call: ({ client }) => client.unary('process.Process/List', {}),
}

const terminals: Load = {
  name: 'terminals',
  steps: [25, 50, 100, 200],
  add: ({ streams }, index) =>
    streams.open(
      'process.Process/Start',
      startOf('/bin/cat', [], { pty: { size: { cols: 80, rows: 24 } }, tag: `t${index}` }),
    ),
  callName: 'SendInput',
  call: ({ client }) => client.unary('process.Process/SendInput', { process: { tag: 't0' }, input: { pty: 'YQo=' } }),
}

const uploads: Load = {
  name: 'uploads that have begun',
  steps: [125, 250, 500, 1000],
  add: ({ streams, dir }, index) => streams.upload(filesPath(join(dir, `begun-${index}`)), UPLOAD_BEGINNING),
  callName: 'upload of 1 KiB',
  call: ({ client, dir }) =>
    client.send({
      method: 'POST',
      path: filesPath(join(dir, 'small')),
      headers: { 'content-type': 'application/octet-stream' },
      body: Buffer.alloc(1024),
    }),
}

/** In this order. */
export const LOADS: readonly Load[] = [readers, watches, terminals, uploads, processes]
