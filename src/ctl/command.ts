import type { Sandbox } from './sandbox.ts'

/** One option of a command line, as node:util's parseArgs takes it, with what help says of it. */
export interface Option {
  readonly type: 'string' | 'boolean'
  readonly short?: string
  readonly multiple?: boolean
  /** The name of its value in help. */
  readonly value?: string
  readonly help: string
}

/** What a command gets. */
export interface Invocation {
  readonly sandbox: Sandbox
  /** The words that are no options. */
  readonly words: readonly string[]
  /** The value of an option that takes one. */
  text(name: string): string | undefined
  /** The values of an option that can be given more than once. */
  texts(name: string): readonly string[]
  /** Whether an option without a value is given. */
  flag(name: string): boolean
  /** JSON is wanted: an object, or one in each line. */
  readonly json: boolean
  /** Writes to standard output. Resolves when it is written. */
  write(text: string | Uint8Array): Promise<void>
}

/** A command of `envd ctl`. */
export interface Command {
  readonly name: string
  /** What follows the name, for help. */
  readonly usage: string
  readonly summary: string
  readonly options: Readonly<Record<string, Option>>
  /** The first word ends the options: what follows is another program's. */
  readonly trailing?: boolean
  /** How many words it takes. */
  readonly words: readonly [least: number, most: number]
  /** Runs it; resolves with the exit code. Rejects with Failure. */
  run(invocation: Invocation): Promise<number>
}
