import { isIP, SocketAddress } from 'node:net'
import { createLock, type Lock } from '../../lib/lock.ts'
import { NEVER } from '../../lib/never.ts'
import { createTimeSlice } from '../../lib/time-slice.ts'
import { rewriteFile } from './rewrite-file.ts'

/** A file in the format of hosts(5). */
export interface HostsFile {
  /**
   * Makes the address (canonical, IPv4 or IPv6) the only one of its family that the name has; every other byte of the
   * file stays. Resolves with whether the file had to be written. One call at a time. Rejects as `rewriteFile` does.
   */
  map(name: string, address: string): Promise<boolean>
}

/** @param path of the file; it is made if there is none. */
export function createHostsFile(path: string): HostsFile {
  const lock: Lock = createLock()
  return {
    map: async (name, address) => {
      const release = await lock.acquire(NEVER)
      try {
        return await rewriteFile(path, { edit: (content) => withMapping(content, name, address) })
      } finally {
        release()
      }
    },
  }
}

/** The address as the system writes it; undefined: it is none. */
export function canonicalAddress(text: string): string | undefined {
  const family = isIP(text)
  if (family === 0 || text.includes('%')) return undefined
  return new SocketAddress({ address: text, family: family === 6 ? 'ipv6' : 'ipv4' }).address
}

/** Bytes that are looked at in one go, in whole lines. A longer line stays as it is. */
const PIECE_BYTES = 16 * 1024

/**
 * Resolves with the content with this mapping and no other of its family, or with undefined if it is like that already.
 * Bytes in, bytes out. A file of 32 MiB does not hold the event loop for more than some milliseconds.
 */
export async function withMapping(content: Buffer, name: string, address: string): Promise<Buffer | undefined> {
  const slice = createTimeSlice()
  const pieces: Buffer[] = []
  let [kept, found] = [0, false]
  for (const { start, end } of piecesOf(content)) {
    const wait = slice.next()
    if (wait !== undefined) await wait
    // One character for each byte, whatever they mean.
    const text = content.toString('latin1', start, end)
    const edited = editPiece(text, { name, address, found })
    found = edited.found
    if (edited.text === text) continue
    pieces.push(content.subarray(kept, start), Buffer.from(edited.text, 'latin1'))
    kept = end
  }
  if (found && pieces.length === 0) return undefined
  pieces.push(content.subarray(kept))
  if (found) return Buffer.concat(pieces)
  const last = pieces.findLast(({ length }) => length > 0)?.at(-1) ?? LINE_FEED
  return Buffer.concat([...pieces, Buffer.from(`${last === LINE_FEED ? '' : '\n'}${address}\t${name}\n`, 'latin1')])
}

const LINE_FEED = 10

/** Bounds of pieces in whole lines, without those lines that are longer. */
function* piecesOf(content: Buffer): Generator<{ start: number; end: number }> {
  for (let start = 0, end = 0; start < content.length; start = end) {
    const next = Math.min(start + PIECE_BYTES, content.length)
    end = next === content.length ? next : start + content.subarray(start, next).lastIndexOf(LINE_FEED) + 1
    if (end > start) {
      yield { start, end }
      continue
    }
    const newline = content.indexOf(LINE_FEED, next)
    end = newline === -1 ? content.length : newline + 1
  }
}

/** Takes the other mappings out of some lines. `found`: the one that is to stay has been, or is in these. */
function editPiece(
  text: string,
  { name, address, found: before }: { readonly name: string; readonly address: string; readonly found: boolean },
): { readonly text: string; readonly found: boolean } {
  let [result, kept, found] = ['', 0, before]
  for (const { start, end } of linesThatContain(text, name)) {
    const line = text.slice(start, end)
    const edited = withoutName(line, name, { family: isIP(address), except: found ? undefined : address })
    found ||= edited === line && isMappingOf(line, name, address)
    result += text.slice(kept, start) + edited
    kept = end
  }
  return { text: result + text.slice(kept), found }
}

/** Bounds of the lines in which the name occurs, line ends included. */
function* linesThatContain(text: string, name: string): Generator<{ start: number; end: number }> {
  // Only Latin letters change, and never their number.
  const lower = text.toLowerCase()
  for (let end = 0, at = lower.indexOf(name); at !== -1; at = lower.indexOf(name, end)) {
    const start = at === 0 ? 0 : lower.lastIndexOf('\n', at - 1) + 1
    const newline = lower.indexOf('\n', at)
    end = newline === -1 ? lower.length : newline + 1
    yield { start, end }
  }
}

function fieldsOf(line: string): { readonly address: string | undefined; readonly names: readonly string[] } {
  const [address = '', ...names] = line.split('#', 1).join('').trim().split(/\s+/)
  return { address: canonicalAddress(address), names: names.map((text) => text.toLowerCase()) }
}

function isMappingOf(line: string, name: string, address: string): boolean {
  const fields = fieldsOf(line)
  return fields.address === address && fields.names.includes(name)
}

interface Removal {
  readonly family: number
  /** The address whose mapping stays. */
  readonly except: string | undefined
}

/** The line without the name, if it maps the name to an address of the family; empty if nothing is left of it. */
function withoutName(line: string, name: string, { family, except }: Removal): string {
  const { address, names } = fieldsOf(line)
  if (address === undefined || isIP(address) !== family || !names.includes(name) || address === except) return line
  const comment = line.indexOf('#')
  const mapping = comment === -1 ? line : line.slice(0, comment)
  if (names.every((other) => other === name)) return comment === -1 ? '' : line.slice(comment)
  const fields = mapping.split(/(\s+)/)
  const first = fields.findIndex((field) => field.trim() !== '')
  const left = fields.flatMap((field, index) => {
    if (index <= first || index % 2 === 1) return []
    return field.toLowerCase() === name ? [] : [`${fields[index - 1] ?? ''}${field}`]
  })
  return fields.slice(0, first + 1).join('') + left.join('') + line.slice(mapping.length)
}
