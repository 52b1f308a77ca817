import { type FileHandle, open } from 'node:fs/promises'
import { errnoOf } from '../errors.ts'
import { ipText } from '../lib/ip-text.ts'
import type { ListeningSocket } from '../native/listening.ts'

/**
 * What one read(2) of these files returns at least, if there is more to come: the kernel fills a page, less what the
 * next line would have taken. So a shorter one is the last, and the read that would say so is spared: it walks the
 * kernel's whole table of connections once more.
 */
const FULL_READ = 4096 - 512

/** The kernel returns a page at a time. */
const BUFFER_BYTES = 65_536

/** Bytes of one file that are looked at; 30,000 lines. Listening sockets come first. */
const MAX_BYTES = 30_000 * 150

/**
 * Makes the function that reads the listening sockets from `<dir>/tcp` and `<dir>/tcp6` (proc_pid_net(5)), in all at
 * most `limit`. It rejects with the system error, or when a file does not look as it should; a missing tcp6 is one of a
 * kernel without IPv6, unless it was there before.
 */
export function procNetReader(dir: string, limit: number): () => Promise<ListeningSocket[]> {
  let ipv6 = false
  return async () => {
    const ipv4Sockets = await readTable(`${dir}/tcp`)
    const ipv6Sockets = await readTable(`${dir}/tcp6`).catch((error: unknown) => {
      if (ipv6 || errnoOf(error) !== 'ENOENT') throw error
      return undefined
    })
    ipv6 ||= ipv6Sockets !== undefined
    return [...ipv4Sockets, ...(ipv6Sockets ?? [])].slice(0, limit)
  }
}

async function readTable(path: string): Promise<ListeningSocket[]> {
  const file = await open(path)
  try {
    return parseTable(await listeningPart(file))
  } finally {
    await file.close()
  }
}

/** The text up to the first read that has no listening socket in it, or the end. */
async function listeningPart(file: FileHandle): Promise<string> {
  const buffer = Buffer.alloc(BUFFER_BYTES)
  let text = ''
  while (text.length < MAX_BYTES) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, null)
    const part = buffer.toString('latin1', 0, bytesRead)
    text += part
    if (bytesRead < FULL_READ || !part.includes(LISTEN)) break
  }
  return text
}

/** TCP_LISTEN in its column. */
const LISTEN = ' 0A '
const HEADER = /^\s*sl\s+local_address\s/
/** Number, local address and port, remote ones, state, queues, timer, retransmissions, uid, timeout, inode. */
const LINE = /^\s*\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) \S+ 0A \S+ \S+ \S+\s+(\d+)\s+\d+ (\d+) /

/** The listening sockets of a table. Throws for a text that does not begin as one. */
export function parseTable(text: string): ListeningSocket[] {
  if (!HEADER.test(text)) throw new Error('not a table of sockets')
  const sockets: ListeningSocket[] = []
  for (const line of text.split('\n')) {
    const [matched, address = '', port = '', uid, inode = '0'] = LINE.exec(line) ?? []
    if (matched === undefined) continue
    const bytes = Buffer.from(address, 'hex')
    // Words in the order of the machine, and Node runs on little-endian ones only.
    sockets.push({
      address: ipText(bytes.swap32()),
      port: Number.parseInt(port, 16),
      onlyIpv6: undefined,
      uid: Number(uid),
      inode,
    })
  }
  return sockets
}
