import type { Deposit, Keeper } from './keeper/keeper.ts'
import { errorFields } from './lib/error-fields.ts'
import { parseJsonAs } from './lib/parse-json.ts'
import type { Log } from './log.ts'
import { close } from './native/index.ts'
import { sealedMemory } from './native/packets.ts'
import { isReadable, STATE_VERSION } from './version.ts'
import type { KeptWatchers, WatcherDefinition } from './watch/kept-watchers.ts'

/** Of all definitions together: 1,000 watchers with paths of ordinary length, each at least a page of the kernel's. */
const MAX_BYTES = 4 * 1024 * 1024
const PAGE_BYTES = 4096

/** The polled watchers that the next daemon makes anew: each has a deposit of its own, which belongs to no process. */
export function keepWatchers(keeper: Keeper, deposits: readonly Deposit[], log: Log): KeptWatchers {
  let room = MAX_BYTES
  const forgetter = (key: number, bytes: number) => {
    let forgotten = false
    return () => {
      if (forgotten) return
      forgotten = true
      room += bytes
      keeper.drop(key)
    }
  }
  return {
    before: deposits.flatMap((deposit) => {
      const { definition, bytes } = readDeposit(deposit)
      room -= bytes
      const forget = forgetter(deposit.key, bytes)
      if (definition !== undefined) return [{ definition, forget }]
      log.error({}, 'what is kept of a watcher cannot be understood')
      forget()
      return []
    }),
    keep: (definition) => {
      const text = Buffer.from(JSON.stringify({ version: STATE_VERSION, watcher: definition }))
      const bytes = Math.ceil(text.length / PAGE_BYTES) * PAGE_BYTES
      const key = bytes <= room ? keeper.freeKey() : undefined
      if (key === undefined) return () => {}
      try {
        put(keeper, key, text)
      } catch (error) {
        log.warn({ ...errorFields(error) }, 'a watcher is not kept for the next daemon')
        keeper.drop(key)
        return () => {}
      }
      room -= bytes
      const forget = forgetter(key, bytes)
      keeper.onRefused(key, () => {
        log.warn({}, 'a watcher is not kept for the next daemon: the keeper has refused it')
        forget()
      })
      return forget
    },
  }
}

function put(keeper: Keeper, key: number, text: Buffer): void {
  const memory = sealedMemory(text)
  try {
    keeper.put(key, 0, [memory])
  } finally {
    close(memory)
  }
}

/** Closes its descriptors. */
function readDeposit({ content, descriptors }: Deposit) {
  for (const fd of descriptors) close(fd)
  const bytes = Math.ceil(content.length / PAGE_BYTES) * PAGE_BYTES
  return { definition: parseJsonAs(content.toString(), isKept)?.watcher, bytes }
}

/** Whether what is kept of a watcher is of a version that this daemon understands. */
export function isReadableWatcher(content: Buffer): boolean {
  return parseJsonAs(content.toString(), isKept) !== undefined
}

/** Only daemons write it, so its version says what is in it. */
function isKept(value: unknown): value is { readonly watcher: WatcherDefinition } {
  return (
    typeof value === 'object' && value !== null && 'watcher' in value && 'version' in value && isReadable(value.version)
  )
}
