import { mkdir, rm, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { open } from '../../_util/rpc.ts'
import { untilAnswered } from '../../keeper/exact-follower.ts'
import { check, type Field, ok, type Traffic, until } from '../field.ts'
import { cleaned } from './remove.ts'

interface Told {
  readonly start?: object
  readonly started?: object
  readonly filesystem?: { readonly name: string }
  readonly change?: { readonly event: { readonly name: string } }
}

/** Makes and removes directories and files, and at last the file `last` in directories of two levels. */
async function change(path: string): Promise<void> {
  for (let at = 0; at < 5; at++) {
    await mkdir(`${path}/gone/${at}`, { recursive: true })
    await writeFile(`${path}/gone/${at}/file`, 'x')
  }
  await rm(`${path}/gone`, { recursive: true, force: true })
  await mkdir(`${path}/kept/deep`, { recursive: true })
  await writeFile(`${path}/kept/deep/last`, 'x')
}

async function streamed(field: Field, path: string): Promise<void> {
  const stream = await open<Told>(field.url, 'filesystem.Filesystem/WatchDir', { path, recursive: true })
  await until(stream, ({ start }) => start !== undefined)
  await change(path)
  await until(stream, ({ filesystem }) => filesystem?.name === 'kept/deep/last')
  await delay(field.random.int(2000))
  stream.close()
}

async function polled(field: Field, path: string): Promise<void> {
  const made = { path, recursive: true }
  const { watcherId } = await ok<{ watcherId: string }>(field, 'filesystem.Filesystem/CreateWatcher', made)
  try {
    await change(path)
    for (let tries = 0; ; tries++) {
      const { events = [] } = await ok<{ events?: { name: string }[] }>(
        field,
        'filesystem.Filesystem/GetWatcherEvents',
        { watcherId },
      )
      if (events.some(({ name }) => name === 'kept/deep/last')) return
      check(tries < 400, 'a polled watcher reported nothing of a file')
      await delay(50)
    }
  } finally {
    await untilAnswered(() => ok(field, 'filesystem.Filesystem/RemoveWatcher', { watcherId }).catch(refused))
  }
}

/** A watcher that is not known any more needs no removal; a call without an answer is sent again. */
function refused(error: Error): void {
  if (!/RemoveWatcher \d/.test(error.message)) throw error
}

async function several(field: Field, path: string): Promise<void> {
  await mkdir(`${path}/one`)
  await mkdir(`${path}/two`)
  const paths = [`${path}/one`, `${path}/two`]
  const stream = await open<Told>(field.url, 'watch.v1.Watch/Directories', { paths })
  await until(stream, ({ started }) => started !== undefined)
  await writeFile(`${path}/two/last`, 'x')
  await until(stream, (message) => message.change?.event.name === 'last')
  stream.close()
}

interface Changes {
  readonly token: string
  readonly changes?: readonly { readonly path: string }[]
}

async function asked(field: Field, path: string): Promise<void> {
  const first = { path, recursive: true }
  let { token } = await ok<Changes>(field, 'files.v1.Files/Changes', first)
  await change(path)
  for (let tries = 0; ; tries++) {
    const more = await ok<Changes>(field, 'files.v1.Files/Changes', { ...first, token, waitMs: 500 })
    if (more.changes?.some((each) => each.path.endsWith('kept/deep/last'))) return
    check(tries < 40, 'Changes reported nothing of a file', more)
    token = more.token
  }
}

function watched(name: string, run: (field: Field, path: string) => Promise<void>): Traffic {
  const inside = async (field: Field, id: string) => {
    await mkdir(`${field.dir}/${id}`)
    await run(field, `${field.dir}/${id}`)
  }
  return cleaned(name, inside)
}

/** Each way to receive changes, over a tree that changes. */
export const WATCHES: readonly Traffic[] = [
  watched('a streamed watch', streamed),
  watched('a polled watch', polled),
  watched('a watch of several directories', several),
  watched('changes since a token', asked),
]
