import { Socket } from 'node:net'
import { descriptorOf } from '../../lib/descriptor.ts'
import { loopTurns, type Turns } from '../../lib/turns.ts'
import { acceptConnection, beginning } from '../../native/accept.ts'
import { close } from '../../native/index.ts'
import { KEEP_ALIVE_DELAY, READ_AHEAD } from './bind.ts'

/** How the connections begin that are let in before all others. */
const HEALTH = 'GET /health'

/** And those behind them: requests that are answered at once. */
const URGENT = [HEALTH, 'GET /ready', 'GET /metrics', 'POST /process.Process/SendSignal']

/** Whether a connection begins so. @param beginning `URGENT_BYTES` of it, or more; fewer if no more have come. */
export function beginsUrgent(beginning: Buffer): boolean {
  return isUrgent(beginning.toString('latin1', 0, URGENT_BYTES))
}

function isUrgent(text: string): boolean {
  return URGENT.some((start) => text.startsWith(start))
}

/** Behind them, the newest first, as each brings a body of many KiB. */
const INIT = 'POST /init '

/** Bytes by which they are recognized. */
export const URGENT_BYTES = Math.max(...URGENT.map((text) => text.length))

/**
 * Connections that are accepted in one turn of the event loop, some 3 µs each. Whatever waits in the kernel's backlog
 * cannot be distinguished.
 */
const MAX_ACCEPTED = 512

/**
 * Connections that are let in in one turn, some 60 µs each, of those that wait for nothing: of the urgent ones, and of
 * those that have said nothing yet.
 */
const MAX_AT_ONCE = 16

/**
 * Beyond those that may wait, as a part of them: those that the next turns let in. More of these stay in the kernel's
 * backlog for so long.
 */
const SOON = 1 / 8

/** Connections that had said nothing and are looked at again in one turn, some 2 µs each: urgent ones may be behind. */
const MAX_LOOKED_AT = 512

/** Accepts the connections that wait in the kernel, and lets them in as the event loop has time. */
interface Entrance {
  /**
   * Lets in a connection that Node has accepted, and looks for others behind it.
   * @param listening the descriptor by which it came, which stays its owner's; undefined: it listens no more.
   */
  accept(socket: Socket, listening: number | undefined): void
  /** Accepts no more; closes what was accepted and not let in yet, or lets all of it in at once. */
  close(waiting: 'ended' | 'served'): void
}

interface EntranceOptions {
  /** Connections that may wait to be let in; of others, but urgent ones, the newest is closed, or the oldest `/init`. */
  readonly waiting: number
  /** Whether a connection needs no look at all. It is closed then. */
  isAbandoned(descriptor: number | undefined): boolean
  /** Lets a connection in; it owns the descriptor. */
  enter(socket: Socket): void
  /** Whether initializations that were let in wait already: further ones stay unread, those above pass them. */
  initsWait(): boolean
  /** Runs it as soon as the requests that are in already leave room for more. */
  whenRoom(run: () => void): void
  /** Default: those of the event loop. */
  readonly turns?: Pick<Turns, 'run'>
}

/**
 * Makes an entrance. Node itself accepts one connection in each turn of the event loop: a health check behind many
 * others would wait for as many turns as there are connections before it.
 */
export function createEntrance({ turns = loopTurns, ...options }: EntranceOptions): Entrance {
  const room = createWaitingRoom(turns, options)
  const looking = new Set<number>()
  let closed = false

  /** False: more may wait. */
  const acceptAll = (listening: number) => {
    for (let left = MAX_ACCEPTED; left > 0 && room.soon < options.waiting * SOON; left--) {
      const descriptor = acceptConnection(listening)
      if (descriptor < 0) return true
      room.add(descriptor)
    }
    return false
  }
  const pass = () => {
    if (closed) return
    for (const listening of looking) if (acceptAll(listening)) looking.delete(listening)
    room.pass()
    if (looking.size + room.next > 0) setImmediate(pass)
  }
  return {
    accept: (socket, listening) => {
      if (listening !== undefined) {
        if (looking.size + room.next === 0) setImmediate(pass)
        looking.add(listening)
      }
      if (options.isAbandoned(descriptorOf(socket))) socket.destroy()
      else options.enter(socket)
    },
    close: (waiting) => {
      closed = true
      room.close(waiting)
    },
  }
}

/** Connections that are accepted and not let in yet. */
function createWaitingRoom(
  turns: Pick<Turns, 'run'>,
  { waiting: most, whenRoom, initsWait, ...options }: Omit<EntranceOptions, 'turns'>,
) {
  const waiting = new Set<number>()
  const first = Buffer.alloc(URGENT_BYTES)
  const [health, urgent, inits]: [number[], number[], number[]] = [[], [], []]
  const letIn = letInFrom(waiting, options)
  const refuse = (descriptor: number) => {
    waiting.delete(descriptor)
    close(descriptor)
  }
  /** The newest stay. */
  const keepInit = (descriptor: number) => {
    inits.push(descriptor)
    if (waiting.size > most) for (const oldest of inits.splice(0, 1)) refuse(oldest)
  }
  /** False: it has said nothing yet. */
  const sort = (descriptor: number) => {
    const text = first.toString('latin1', 0, beginning(descriptor, first))
    if (text.startsWith(HEALTH)) health.push(descriptor)
    else if (isUrgent(text)) urgent.push(descriptor)
    else if (text === '') return false
    else if (text.startsWith(INIT)) keepInit(descriptor)
    else if (waiting.size > most) refuse(descriptor)
    // Each for itself: a connection among many waits as long as their requests do.
    else turns.run({}, () => whenRoom(() => letIn(descriptor)))
    return true
  }
  const silent = createSilent(sort, letIn)
  return {
    /** Those that the next turns let in. */
    get soon() {
      return health.length + urgent.length + silent.size
    },
    /** Those that the next `pass` is for. */
    get next() {
      return this.soon + inits.length
    },
    add: (descriptor: number) => {
      waiting.add(descriptor)
      if (!sort(descriptor)) silent.add(descriptor)
    },
    /** Lets urgent ones in, and some of those that have said nothing; once in each turn of the event loop. */
    pass: () => {
      silent.pass()
      const now = health.splice(0, MAX_AT_ONCE)
      now.push(...urgent.splice(0, MAX_AT_ONCE - now.length))
      for (const descriptor of now) letIn(descriptor)
      const left = MAX_AT_ONCE - now.length
      // The newest, in the order of their coming, which decides about their turns.
      if (left > 0 && !initsWait()) for (const descriptor of inits.splice(-left)) letIn(descriptor)
    },
    close: (how: 'ended' | 'served') => {
      for (const descriptor of [...waiting]) {
        if (how === 'served') letIn(descriptor)
        else close(descriptor)
      }
      waiting.clear()
    },
  }
}

/** Lets in one of those that wait, or closes it. Ignores others. */
function letInFrom(waiting: Set<number>, { isAbandoned, enter }: Pick<EntranceOptions, 'isAbandoned' | 'enter'>) {
  return (descriptor: number) => {
    if (!waiting.delete(descriptor)) return
    const socket = isAbandoned(descriptor) ? undefined : socketOf(descriptor)
    if (socket === undefined) close(descriptor)
    else enter(socket)
  }
}

/**
 * Connections that have said nothing yet: what a health check says may come a moment later.
 * @param sort false: it has said nothing yet.
 */
function createSilent(sort: (descriptor: number) => boolean, letIn: (descriptor: number) => void) {
  let silent: number[] = []
  return {
    get size() {
      return silent.length
    },
    add: (descriptor: number) => void silent.push(descriptor),
    pass: () => {
      const again = silent.slice(0, MAX_LOOKED_AT).filter((descriptor) => !sort(descriptor))
      silent = silent.slice(MAX_LOOKED_AT)
      for (const descriptor of again.splice(0, MAX_AT_ONCE)) letIn(descriptor)
      silent.push(...again)
    },
  }
}

/** As Node's servers make them. Undefined: the connection has failed already; the descriptor stays the caller's. */
function socketOf(fd: number): Socket | undefined {
  try {
    // Its type leaves out what it hands to the stream.
    const options = { fd, allowHalfOpen: true, highWaterMark: READ_AHEAD }
    const socket = new Socket(options)
    return socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_DELAY)
  } catch {
    return undefined
  }
}
