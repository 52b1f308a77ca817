import { open, opendir, readFile, readlink } from 'node:fs/promises'
import { basename } from 'node:path'
import { listPids, statOf } from '../lib/proc-pid.ts'
import { withoutTrailing } from '../lib/without-trailing.ts'

/** A process that holds a socket. */
export interface Owner {
  readonly pid: number
  /** The descriptor's number, as in /proc/<pid>/fd. */
  readonly fd: string
  /** File name of the program as in argument 0, or the name of the process; empty: it ended meanwhile. */
  readonly command: string
  /** Its arguments, argument 0 first, of at most `MAX_ARGUMENT_BYTES`; a cut character becomes U+FFFD. */
  readonly args: readonly string[]
}

/** Bounds of a search. */
interface SearchOptions {
  /** Milliseconds after which it returns what it has found. */
  readonly limitMs: number
  readonly signal: AbortSignal
}

/** Links read at a time: more would fill the thread pool's queue while a file waits to be served. */
const LINKS_AT_ONCE = 64

/**
 * Generations to climb from a process that holds a socket to the one that opened it; servers that fork need one or two.
 */
const MAX_GENERATIONS = 16

/** Bytes of a command line: enough to distinguish two servers of a kind. */
const MAX_ARGUMENT_BYTES = 4_096

/**
 * Looks through all processes, the youngest first, until every socket (by inode) has its owner: of a family that shares
 * a socket under one number the eldest. What the daemon may not see is not found. Never rejects.
 */
export async function findOwners(inodes: ReadonlySet<string>, options: SearchOptions): Promise<Map<string, Owner>> {
  const found = new Map<string, Owner>()
  const due = performance.now() + options.limitMs
  const over = () => found.size === inodes.size || options.signal.aborted || performance.now() > due
  for (const pid of (await listPids()).sort((a, b) => b - a)) {
    if (over()) break
    for await (const [fd, inode] of socketsOf(pid, over)) {
      if (inodes.has(inode) && !found.has(inode)) found.set(inode, await describe(await eldest({ pid, fd }, inode)))
    }
  }
  return found
}

/** Whether the process still has that socket open. */
export async function stillHolds({ pid, fd }: Pick<Owner, 'pid' | 'fd'>, inode: string): Promise<boolean> {
  return (await socketAt(pid, fd)) === inode
}

/** [descriptor, inode] of a process's sockets; of none for one that has ended or is closed to the daemon. */
async function* socketsOf(pid: number, over: () => boolean): AsyncGenerator<[string, string], void> {
  try {
    let names: string[] = []
    for await (const { name } of await opendir(`/proc/${pid}/fd`, { bufferSize: LINKS_AT_ONCE })) {
      names.push(name)
      if (names.length < LINKS_AT_ONCE) continue
      yield* socketsAmong(pid, names)
      names = []
      if (over()) return
    }
    yield* socketsAmong(pid, names)
  } catch {
    // It has ended, or is not ours to see.
  }
}

async function* socketsAmong(pid: number, names: readonly string[]): AsyncGenerator<[string, string], void> {
  const inodes = await Promise.all(names.map((fd) => socketAt(pid, fd)))
  for (const [index, fd] of names.entries()) {
    const inode = inodes[index]
    if (inode !== undefined) yield [fd, inode]
  }
}

/** The inode of the socket under a descriptor; undefined if there is none. */
async function socketAt(pid: number, fd: string): Promise<string | undefined> {
  const link = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')
  return /^socket:\[(\d+)\]$/.exec(link)?.[1]
}

/**
 * A server that forks leaves its children the socket under the same number; one that is handed a socket gets another.
 */
async function eldest({ pid, fd }: Pick<Owner, 'pid' | 'fd'>, inode: string): Promise<Pick<Owner, 'pid' | 'fd'>> {
  let holder = pid
  for (let i = 0; i < MAX_GENERATIONS; i++) {
    const { parent = 0 } = (await statOf(holder)) ?? {}
    if (parent === 0 || !(await stillHolds({ pid: parent, fd }, inode))) break
    holder = parent
  }
  return { pid: holder, fd }
}

async function describe({ pid, fd }: Pick<Owner, 'pid' | 'fd'>): Promise<Owner> {
  const args = await argumentsOf(pid).catch(() => [])
  const [program = ''] = args
  // A process that shows its state there (`nginx: master process …`) has its plain name in comm.
  if (program !== '' && !program.includes(' ')) return { pid, fd, command: basename(program), args }
  const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')
  return { pid, fd, command: name.trimEnd(), args }
}

async function argumentsOf(pid: number): Promise<string[]> {
  const file = await open(`/proc/${pid}/cmdline`)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_ARGUMENT_BYTES), 0, MAX_ARGUMENT_BYTES, 0)
    const text = buffer.toString('utf8', 0, bytesRead)
    // Each ends with a NUL, but the one that was cut off. What a process wrote in their place, its title, is filled up
    // with thousands of them.
    const trimmed = withoutTrailing(text, '\0')
    return trimmed === '' ? [] : trimmed.split('\0')
  } finally {
    await file.close()
  }
}
