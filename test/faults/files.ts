import { chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Headers } from '../_util/http.ts'
import { asUser } from '../_util/rpc.ts'
import {
  isOneOf,
  NO_PATH,
  noTemporary,
  type Outcome,
  type Place,
  request,
  type Scenario,
  streamed,
  unary,
} from './scenario.ts'

const CONTENT = 'first line\nsecond line\n'
/** Of `user` in the namespace of the tests. */
const USER_ID = 1000
const user = asUser('user')
const FILE = 'd/file: first line\nsecond line\n'
const TREE = ['d', FILE, 'd/link']

/** A directory with a file and a link. */
function makeTree({ dir }: Place): void {
  mkdirSync(join(dir, 'd'), { mode: 0o777 })
  writeFileSync(join(dir, 'd/file'), CONTENT, { mode: 0o666 })
  symlinkSync('file', join(dir, 'd/link'))
  for (const name of ['d', 'd/file']) chownSync(join(dir, name), USER_ID, USER_ID)
}

const nothingChanges = (place: Place) => isOneOf(place, TREE)
const eitherWay =
  (after: readonly string[]) =>
  (place: Place, { code }: Outcome) =>
    isOneOf(place, after, ...(code === 'ok' ? [] : [TREE]))

type Message = (place: Place) => Record<string, unknown>
const at =
  (name: string): Message =>
  ({ dir }) => ({ path: join(dir, name) })

const reading = (method: string, message: Message, wanted: (answer: string) => boolean): Scenario => ({
  name: method,
  prepare: makeTree,
  run: async (place) => honest(await unary(place, method, message(place), user), wanted),
  check: nothingChanges,
})

const sending = (method: string, message: Message, wanted: (answer: string) => boolean): Scenario => ({
  name: method,
  matches: ['DIR', NO_PATH],
  prepare: makeTree,
  run: async (place) => {
    const { messages, ...outcome } = await streamed(place, method, message(place), user)
    return honest({ ...outcome, answer: messages }, wanted)
  },
  check: nothingChanges,
})

/** Success must be one: the answer has what was asked for, or says that something is missing. */
function honest({ code, text, answer }: Outcome & { answer: unknown }, wanted: (answer: string) => boolean): Outcome {
  const whole = JSON.stringify(answer)
  return code === 'ok' && !wanted(whole) ? { code: 'false success', text: whole } : { code, text }
}

const changing = (method: string, message: Message, after: readonly string[], how = unary as Call): Scenario => ({
  name: method,
  prepare: makeTree,
  run: async (place) => {
    const { code, text } = await how(place, method, message(place), user)
    return { code, text }
  },
  check: eitherWay(after),
})
type Call = (place: Place, method: string, message: unknown, headers: typeof user) => Promise<Outcome>

const FS = 'filesystem.Filesystem'
const FILES = 'files.v1.Files'
const leftOut = (answer: string) => /left_?out/i.test(answer)

/** What the filesystem service does. */
export const FILESYSTEM: readonly Scenario[] = [
  reading(`${FS}/Stat`, at('d/link'), (answer) => answer.includes('"name":"link"')),
  // Directories that cannot be read fail nothing (contract C25).
  reading(
    `${FS}/ListDir`,
    (place) => ({ ...at('')(place), depth: 2 }),
    (answer) => answer.includes('"name":"d"'),
  ),
  changing(`${FS}/MakeDir`, at('new'), [...TREE, 'new']),
  changing(`${FS}/Move`, ({ dir }) => ({ source: join(dir, 'd'), destination: join(dir, 'e') }), [
    'e',
    FILE.replace('d', 'e'),
    'e/link',
  ]),
  {
    ...changing(`${FS}/Remove`, at('d'), []),
    // What was removed before a failure is gone.
    check: (place, { code }) => (code === 'ok' ? isOneOf(place, []) : []),
  },
  {
    name: 'download',
    prepare: makeTree,
    run: (place) => downloaded(place),
    check: nothingChanges,
  },
  {
    name: 'download of a range',
    prepare: makeTree,
    run: (place) => downloaded(place, { headers: { range: 'bytes=0-99999' } }),
    check: nothingChanges,
  },
  {
    name: 'download of a large file',
    prepare: ({ dir }) => {
      mkdirSync(join(dir, 'd'))
      writeFileSync(join(dir, 'd/file'), LARGE)
    },
    run: (place) => downloaded(place, { content: LARGE }),
  },
  {
    name: 'download of a directory',
    prepare: makeTree,
    run: async (place) => {
      const target = `/files?path=${encodeURIComponent(join(place.dir, 'd'))}&format=tar`
      const { code, text, body } = await broken(request(place, target, { headers: user }))
      return { code, text: code === 'ok' ? '' : text || String(body) }
    },
    check: nothingChanges,
  },
  {
    name: 'compose',
    prepare: makeTree,
    run: (place) =>
      request(place, '/files/compose', {
        method: 'POST',
        headers: { ...user, 'content-type': 'application/json' },
        body: JSON.stringify({
          source_paths: [join(place.dir, 'd/file')],
          destination: join(place.dir, 'whole'),
        }),
      }),
    check: (place, { code }) =>
      // A source that cannot be deleted stays (contract B54).
      isOneOf(place, JOINED, [...TREE, WHOLE], ...(code === 'ok' ? [] : [TREE])),
  },
]

const WHOLE = `whole: ${CONTENT}`
const JOINED = ['d', 'd/link', WHOLE]
const LARGE = Buffer.alloc(1_500_000, 'large')

async function downloaded(
  place: Place,
  { headers = {}, content = CONTENT }: { readonly headers?: Headers; readonly content?: string | Buffer } = {},
): Promise<Outcome> {
  const target = `/files?path=${encodeURIComponent(join(place.dir, 'd/file'))}`
  const { code, text, body } = await broken(request(place, target, { headers: { ...user, ...headers } }))
  return code === 'ok' && !body.equals(Buffer.from(content)) ? { code: 'false success', text: 'short' } : { code, text }
}

/** A file that cannot be read to its end breaks the connection (contract B28): that is how a client learns it. */
function broken<T extends Outcome & { readonly body: Buffer }>(
  answer: Promise<T>,
): Promise<T | (Outcome & { body: Buffer })> {
  return answer.catch((error: unknown) => {
    if (!/aborted|socket hang up|ECONNRESET/.test(String(error))) throw error
    return { code: 'cut off', text: 'the connection broke', body: Buffer.alloc(0) }
  })
}

/** What `files.v1.Files` does. */
export const FILES_V1: readonly Scenario[] = [
  reading(`${FILES}/ReadLines`, at('d/file'), (answer) => answer.includes('second line')),
  reading(`${FILES}/ReadLink`, at('d/link'), (answer) => answer.includes('"target":"file"')),
  {
    ...changing(
      `${FILES}/Edit`,
      (place) => ({
        files: [{ ...at('d/file')(place), replacements: { replacements: [{ oldText: 'first', newText: '1st' }] } }],
      }),
      ['d', 'd/file: 1st line\nsecond line\n', 'd/link'],
    ),
  },
  changing(`${FILES}/Symlink`, (place) => ({ target: 'file', ...at('d/other')(place) }), [...TREE, 'd/other'].sort()),
  changing(`${FILES}/Truncate`, (place) => ({ ...at('d/file')(place), size: '5' }), ['d', 'd/file: first', 'd/link']),
  {
    ...changing(
      `${FILES}/Copy`,
      ({ dir }) => ({ source: join(dir, 'd'), destination: join(dir, 'e'), recursive: true }),
      [...TREE, 'e', FILE.replace('d', 'e'), 'e/link'],
      streamed,
    ),
  },
  {
    ...changing(
      `${FILES}/SetAttributes`,
      (place) => ({
        ...at('d')(place),
        recursive: true,
        mode: 0o640,
        directoryMode: 0o750,
        metadata: { key: 'value' },
      }),
      TREE,
      streamed,
    ),
    check: (place) => [...nothingChanges(place), ...noTemporary(place)],
  },
  sending(`${FILES}/Checksum`, at('d'), (answer) => answer.includes('"files":"1"') || leftOut(answer)),
  sending(`${FILES}/DiskUsage`, at('d'), (answer) => answer.includes('summary')),
  sending(`${FILES}/Find`, at('d'), (answer) => answer.includes('summary')),
  sending(
    `${FILES}/Grep`,
    (place) => ({ ...at('d')(place), pattern: 'line' }),
    (answer) => answer.includes('summary'),
  ),
]
