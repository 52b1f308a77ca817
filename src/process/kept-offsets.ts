import { type Deposit, type Keeper, OFFSETS_KEY } from '../keeper/keeper.ts'
import { close } from '../native/index.ts'
import { mapMemory, sharedMemory } from '../native/packets.ts'
import type { StreamName } from './output-log.ts'
import type { TerminalSize } from './process.ts'
import { SLAB_BYTES } from './slab-pool.ts'

/**
 * Positions of output that outlive the daemon, in one memory for all processes: it is written at each read, and costs
 * no message.
 */
export interface KeptOffsets {
  /** The positions under that key; as the last daemon has left them. */
  at(key: number): OffsetSlot
}

/** The positions of one process. */
export interface OffsetSlot {
  /** Bytes read so far of each stream, to be changed in place. */
  readonly offsets: Record<StreamName, number>
  /** Bytes of input written so far, to be changed in place. */
  readonly input: { bytes: number }
  /** Of its terminal, since it was changed; undefined: it was not. */
  size: TerminalSize | undefined
  /** To be called before a read of that stream, and with undefined once its bytes are counted. */
  reading(stream: StreamName | undefined): void
  clear(): void
  /** From now on the positions are in memory of their own, and the slot is another's. */
  detach(): void
}

/** As many as there are keys; only what is used takes memory. */
const SLOTS = 65_536

/**
 * The positions of three streams, the bytes of input, and the size of a terminal; two are to spare, so that a slot is
 * a line of the processor's cache.
 */
const NUMBERS = 8

const BYTES = SLOTS * NUMBERS * Float64Array.BYTES_PER_ELEMENT

/**
 * Takes over the memory that an earlier daemon has deposited, or makes it and has it kept. Throws as `sharedMemory`.
 * @param deposit the one of `OFFSETS_KEY`; its descriptors are closed.
 */
export function openKeptOffsets(keeper: Keeper, deposit: Deposit | undefined): KeptOffsets {
  const [found] = deposit?.descriptors ?? []
  const memory = found ?? sharedMemory(BYTES)
  const numbers = new Float64Array(mapMemory(memory, BYTES))
  if (found === undefined) keeper.put(OFFSETS_KEY, 0, [memory])
  close(memory)
  passUncounted(numbers)
  return { at: (key) => slotOf(numbers, key * NUMBERS) }
}

/** Positions in the order of a slot. */
const STREAMS: readonly StreamName[] = ['stdout', 'stderr', 'pty']

/**
 * Where the place of the position that is about to change stands: in the slot of the daemon's own key. 0: nothing is
 * read.
 */
const READING = 0

/**
 * A daemon that ended within a read has perhaps taken bytes that it has not counted. The position jumps beyond them,
 * so that nobody who asks for an earlier one gets other bytes than those that were there.
 */
function passUncounted(numbers: Float64Array): void {
  const place = numbers[READING] ?? 0
  if (place > 0) numbers[place] = (numbers[place] ?? 0) + SLAB_BYTES
  numbers[READING] = 0
}

function slotOf(shared: Float64Array, place: number): OffsetSlot {
  let numbers = shared
  let at = place
  const get = (index: number) => numbers[at + index] ?? 0
  const set = (index: number, value: number) => {
    numbers[at + index] = value
  }
  return {
    offsets: {
      get stdout() {
        return get(0)
      },
      set stdout(value) {
        set(0, value)
      },
      get stderr() {
        return get(1)
      },
      set stderr(value) {
        set(1, value)
      },
      get pty() {
        return get(2)
      },
      set pty(value) {
        set(2, value)
      },
    },
    input: {
      get bytes() {
        return get(3)
      },
      set bytes(value) {
        set(3, value)
      },
    },
    get size() {
      const [columns, rows] = [get(4), get(5)]
      return columns === 0 && rows === 0 ? undefined : { columns, rows }
    },
    set size(size) {
      set(4, size?.columns ?? 0)
      set(5, size?.rows ?? 0)
    },
    reading: (stream) => {
      if (numbers === shared) shared[READING] = stream === undefined ? 0 : at + STREAMS.indexOf(stream)
    },
    clear: () => void numbers.fill(0, at, at + NUMBERS),
    detach: () => {
      numbers = numbers.slice(at, at + NUMBERS)
      at = 0
    },
  }
}
