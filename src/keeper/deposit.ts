import { fstatSync, readSync } from 'node:fs'
import { close } from '../native/index.ts'
import type { Received } from './channel.ts'
import type { Deposit } from './keeper.ts'
import { OUTPUT_KEY } from './keys.ts'
import { ENDED } from './protocol.ts'

/** What a message (`PUT`) says that the keeper keeps. Reads and closes the memory that is the first descriptor. */
export function depositOf({ message, descriptors, cut }: Received): Deposit {
  const { key, pid, status, value } = message
  const facts = { key, pid, status: value >= ENDED ? status : undefined, note: value % ENDED }
  if (key === OUTPUT_KEY && !cut) return { ...facts, content: NOTHING, descriptors }
  const [memory, ...others] = descriptors
  const content = memory === undefined || cut ? NOTHING : contentOf(memory)
  if (memory !== undefined) close(memory)
  if (cut) for (const fd of others) close(fd)
  return { ...facts, content, descriptors: cut ? [] : others }
}

const NOTHING = Buffer.alloc(0)

function contentOf(memory: number): Buffer {
  const bytes = Buffer.alloc(fstatSync(memory).size)
  return bytes.subarray(0, readSync(memory, bytes, 0, bytes.length, 0))
}
