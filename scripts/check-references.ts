/**
 * Checks that references lead somewhere: contract ids to an item of docs/contract.md, relative links to files and
 * headings, names of files in documents to a file, and that docs/architecture.md names every part. Exit code 1 if not.
 * An id counts at the start of a test's title (`test('D7 D8 …'`), after the word "contract" (`contract B4 to B9, F1`),
 * in docs/contract.md, and in the first column of test/README.md. Elsewhere a letter with digits may be anything.
 */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, dirname, join, normalize } from 'node:path'
import { promisesOf } from './promises.ts'

const CONTRACT = 'docs/contract.md'
const ARCHITECTURE = 'docs/architecture.md'
const RELIABILITY = 'docs/reliability.md'
const TITLE = /\(\s*['"`]((?:[A-Z]\d{1,2} )+)/g
const MENTION = /\bcontract ([A-Z]\d{1,2}\b(?:(?:,| and|, and| or| to) [A-Z]\d{1,2}\b)*)/g
const MENTION_OF_SECTION = /\bcontract ([A-Z])(?!\w)/g
const TABLE_CELL = /^\| ([^|]*)\|/gm
const ID = /\b[A-Z]\d{1,2}\b/g
const ITEM = /^- \*\*([A-KN]\d{1,2})\*\*(?: to \*\*([A-KN]\d{1,2})\*\*)? \S/gm
/** Names of documents that are not part of this repository. */
const ELSEWHERE =
  /\bpitfalls? [A-Z]\d|\bpitfalls\.md|\buser documents\b|\buser-docs\b|\bdesign\.md|(?<!\/)\bshared\/\w/gi

const pages = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'test/README.md', ...globSync('docs/**/*.md')].filter(
  (file) => existsSync(file),
)
const code = globSync(['src/**/*.{ts,cc,h}', 'test/**/*.{ts,py}'], { exclude: ['src/gen/**'] })
const known = items()
const files = globSync('{src,test,scripts,proto,docs}/**/*.*', { exclude: ['src/gen/**'] }).map((file) => `/${file}`)
const breaches = [
  ...[...pages, ...code].flatMap(wrongReferences),
  ...pages.flatMap(deadLinks),
  ...pages.flatMap(missingFiles),
  ...missingParts(),
  ...unprovenPromises(),
]
for (const line of breaches) console.error(line)
console.log(`${known.size} contract items, ${pages.length} documents, ${breaches.length} references lead nowhere`)
process.exitCode = breaches.length > 0 ? 1 : 0

/** The ids of all items. Throws when one stands there twice. */
function items(): Set<string> {
  const found = new Set<string>()
  for (const [, first = '', last = first] of readFileSync(CONTRACT, 'utf8').matchAll(ITEM)) {
    for (const id of range(first, last)) {
      if (found.has(id)) throw new Error(`${CONTRACT}: ${id} stands there twice`)
      found.add(id)
    }
  }
  return found
}

function range(first: string, last: string): string[] {
  const [from, to] = [Number(first.slice(1)), Number(last.slice(1))]
  return Array.from({ length: to - from + 1 }, (_, index) => `${first[0]}${from + index}`)
}

function wrongReferences(file: string): string[] {
  const text = readFileSync(file, 'utf8')
  // A mention may go on in the next line of a comment.
  const joined = text.replace(/\s*\n[ \t]*(?:\*|\/\/|#)?[ \t]*/g, ' ')
  const places = [
    ...groups(joined, MENTION),
    ...(file.endsWith('.test.ts') ? groups(text, TITLE) : []),
    ...(file === 'test/README.md' ? groups(text, TABLE_CELL) : []),
    ...(file === CONTRACT ? [text] : []),
  ]
  const ids = new Set(places.flatMap((place) => place.match(ID) ?? []))
  const sections = new Set([...known].map((id) => id.slice(0, 1)))
  return [
    ...[...ids].filter((id) => !known.has(id)).map((id) => `${file}: ${id} is no item of ${CONTRACT}`),
    ...groups(joined, MENTION_OF_SECTION)
      .filter((section) => !sections.has(section))
      .map((section) => `${file}: ${section} is no section of ${CONTRACT}`),
    ...(joined.match(ELSEWHERE) ?? []).map((name) => `${file}: "${name}" is not in this repository`),
  ]
}

function groups(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, group = '']) => group)
}

function deadLinks(file: string): string[] {
  return groups(withoutCode(readFileSync(file, 'utf8')), /\]\(([^)\s]+)(?: "[^"]*")?\)/g)
    .filter((link) => !/^[a-z]+:/i.test(link))
    .filter((link) => !leadsSomewhere(file, link))
    .map((link) => `${file}: the link ${link} leads nowhere`)
}

function leadsSomewhere(file: string, link: string): boolean {
  const [path = '', anchor] = link.split('#', 2)
  const target = path === '' ? file : normalize(join(dirname(file), decodeURIComponent(path)))
  if (!existsSync(target)) return false
  return anchor === undefined || !target.endsWith('.md') || anchors(target).has(anchor)
}

/** Names of source files in code spans: a path from the root, or the end of one (`output-log.ts`, `freeze/thaw.ts`). */
function missingFiles(file: string): string[] {
  const names = groups(readFileSync(file, 'utf8'), /`([\w./{},-]+\.(?:ts|cc|h|proto))`/g)
  return [...new Set(names.flatMap(expanded))]
    .filter((name) => !existsSync(name) && !files.some((known) => known.endsWith(`/${name}`)))
    .map((name) => `${file}: there is no file ${name}`)
}

/** `a/{b,c}.ts` as `a/b.ts` and `a/c.ts`. */
function expanded(name: string): string[] {
  const [, before = '', list, after = ''] = /^(.*)\{(.*)\}(.*)$/.exec(name) ?? []
  return list === undefined ? [name] : list.split(',').map((word) => before + word + after)
}

/** Parts and files of `src` itself that the page about its structure does not name. */
function missingParts(): string[] {
  const text = readFileSync(ARCHITECTURE, 'utf8')
  return globSync('src/*')
    .map((path) => basename(path))
    .filter((name) => !text.includes(`\`${name}\``) && !text.includes(`\`${name}/`))
    .map((name) => `${ARCHITECTURE}: src/${name} is not named`)
}

/** Promises whose test is not there, by its file and the words of its title; and the page must have some. */
function unprovenPromises(): string[] {
  const rows = promisesOf(readFileSync(RELIABILITY, 'utf8'))
  const unproven = rows.filter(({ file, title }) => {
    if (file === undefined || title === undefined || !existsSync(file)) return true
    return !readFileSync(file, 'utf8').includes(title)
  })
  if (rows.length === 0) return [`${RELIABILITY}: there are no promises`]
  return unproven.map(({ promise, file, title }) => `${RELIABILITY}: "${promise}": no test "${title}" in ${file}`)
}

/** The anchors that GitHub makes of headings: lower case, without punctuation, repeated ones numbered. */
function anchors(file: string): Set<string> {
  const found = new Set<string>()
  for (const title of groups(readFileSync(file, 'utf8').replace(/^```[\s\S]*?^```/gm, ''), /^#{1,6} (.+)$/gm)) {
    const plain = title
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .trim()
      .toLowerCase()
    const anchor = plain.replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/\s/g, '-')
    let name = anchor
    for (let count = 1; found.has(name); count++) name = `${anchor}-${count}`
    found.add(name)
  }
  return found
}

function withoutCode(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '')
}
