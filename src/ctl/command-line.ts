import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Command, Invocation, Option } from './command.ts'
import { Failure } from './failure.ts'
import { type Address, openSandbox } from './sandbox.ts'

/** The options of every command. */
export const COMMON: Readonly<Record<string, Option>> = {
  url: { type: 'string', value: 'URL', help: 'the sandbox; default $ENVD_URL, else the local daemon' },
  'token-file': { type: 'string', value: 'PATH', help: 'file with the access token; default $ENVD_TOKEN' },
  user: { type: 'string', short: 'u', value: 'NAME', help: 'user to act as; default that of the daemon' },
  json: { type: 'boolean', help: 'print JSON, one object in a line' },
  help: { type: 'boolean', short: 'h', help: 'show this' },
}

const LOCAL = 'http://127.0.0.1:49983'

type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>

/** What of the invocation a command line says. Throws Failure `usage`. */
type Parsed = Omit<Invocation, 'sandbox' | 'write'> & { readonly values: Values }

/** Takes the words after the command's name apart. Throws Failure `usage`. */
export function parseCommand(command: Command, args: readonly string[]): Parsed {
  const options = { ...COMMON, ...command.options }
  const own = command.trailing === true ? ownPart(args, options) : args.length
  const { values, positionals } = strictly(args.slice(0, own), options)
  const words = [...positionals, ...args.slice(args[own] === '--' ? own + 1 : own)]
  const flag = (name: string) => values[name] === true
  const [least, most] = command.words
  if (!flag('help') && (words.length < least || words.length > most))
    throw new Failure('usage', `usage: envd ctl ${command.name} ${command.usage}`)
  const texts = (name: string) => [values[name] ?? []].flat().filter((value) => typeof value === 'string')
  return { values, words, flag, texts, text: (name) => texts(name).at(-1), json: flag('json') }
}

/** Where the sandbox is, by options and variables. Throws Failure `usage`. */
function addressOf({ text }: Pick<Parsed, 'text'>, env: NodeJS.ProcessEnv): Address {
  const given = text('url') ?? env['ENVD_URL'] ?? LOCAL
  const url = URL.parse(given.includes('://') ? given : `http://${given}`)
  if (url === null || !/^https?:$/.test(url.protocol)) throw new Failure('usage', `no URL of a sandbox: ${given}`)
  return { url, token: tokenOf(text('token-file'), env), user: text('user') }
}

/** The client of the sandbox that a command line means. Throws Failure `usage`. */
export function sandboxOf(parsed: Pick<Parsed, 'text'>, env: NodeJS.ProcessEnv) {
  return openSandbox(addressOf(parsed, env))
}

/** A whole number of an option, in its range; undefined where it is not given. Throws Failure `usage`. */
export function numberOf(text: string | undefined, what: string, least = 1): number | undefined {
  if (text === undefined) return undefined
  const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (!(number >= least)) throw new Failure('usage', `${what} must be a number from ${least} on: ${text}`)
  return number
}

function tokenOf(file: string | undefined, env: NodeJS.ProcessEnv): string | undefined {
  if (file === undefined) return env['ENVD_TOKEN'] || undefined
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new Failure('usage', `the token cannot be read: ${error instanceof Error ? error.message : error}`)
  }
}

function strictly(args: readonly string[], options: Readonly<Record<string, Option>>) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (error) {
    throw new Failure('usage', error instanceof Error ? error.message : String(error))
  }
}

/** How many of the words come before the first that is no option. */
function ownPart(args: readonly string[], options: Readonly<Record<string, Option>>): number {
  const { tokens } = parseArgs({ args: [...args], options, allowPositionals: true, strict: false, tokens: true })
  const first = tokens.find(({ kind }) => kind !== 'option')
  return first?.index ?? args.length
}
