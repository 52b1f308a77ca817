/**
 * Checks what the linter cannot say: which part may import which, how long files and lines may grow, and words. Exit
 * code 1 on a breach.
 */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, dirname, relative, resolve } from 'node:path'
import { E2E_STRESS, INTEGRATION, SLOW, STRESS } from '../test/_util/kinds.ts'

interface Import {
  readonly file: string
  /** `lib`, `process`, … for a file of a part; `errors.ts`, … for a file of `src` itself; `npm:fastify`; `node:fs`. */
  readonly target: string
  readonly typeOnly: boolean
}

/** Open to every part; they import nothing of the parts but `lib`. */
const COMMON = ['errors.ts', 'config.ts', 'config', 'log.ts', 'version.ts', 'lib', 'budget', 'json']
/** A part imports itself, what stands here, and node's own modules. What stands in ENTRY builds the whole. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  lib: [],
  budget: ['errors.ts'],
  // Of native the kernel's random numbers.
  calls: ['budget', 'native'],
  json: ['errors.ts', 'lib'],
  native: ['lib', 'errors.ts'],
  users: [...COMMON, 'native'],
  peers: [...COMMON, 'native'],
  startup: [...COMMON, 'native'],
  cgroups: [...COMMON, 'native'],
  cpus: [...COMMON, 'native'],
  logs: [...COMMON, 'native'],
  // Knows what is kept by its descriptors and pid only.
  keeper: [...COMMON, 'native'],
  // Looks at files and starts programs; what is handed over it knows by its version only.
  upgrade: [...COMMON, 'keeper', 'startup'],
  // Of cgroups types.
  process: [...COMMON, 'users', 'native', 'keeper', 'cgroups'],
  filesystem: [...COMMON, 'users', 'native'],
  // Reads, edits and searches files as the file calls do.
  files: [...COMMON, 'users', 'native', 'filesystem'],
  // Trees as archives, both ways, with the rights and rules of files.
  archives: [...COMMON, 'filesystem', 'native'],
  // Files that come in several requests, stored as others are.
  uploads: [...COMMON, 'filesystem', 'native'],
  metrics: [...COMMON, 'calls', 'native'],
  // Of calls a type: the list of open streams.
  activity: [...COMMON, 'calls'],
  capabilities: [...COMMON],
  'agent-sandbox': [...COMMON, 'process'],
  terminals: [...COMMON, 'process', 'calls'],
  // Looks at what the registry of processes knows.
  jobs: [...COMMON, 'process'],
  ports: [...COMMON, 'users', 'native'],
  watch: [...COMMON, 'users', 'native', 'filesystem', 'gen'],
  supervisor: [...COMMON, 'process', 'cgroups'],
  // A client: it knows the daemon by its protocol only. Trees of its own machine it packs as the daemon does.
  ctl: ['lib', 'errors.ts', 'budget', 'log.ts', 'archives', 'filesystem', 'native', 'watch'],
  // The page of the browser, a program of its own, which nothing imports.
  console: ['gen'],
  // Of cgroups a type: what a call of `/init` needs of a freeze.
  init: [...COMMON, 'cgroups', 'cpus', 'users', 'native'],
  // Of watch the patterns of what is left out, of archives as well; of cgroups what a freeze is asked for.
  http: [
    ...COMMON,
    ...['watch', 'users', 'process', 'filesystem', 'archives', 'uploads', 'metrics', 'init', 'cgroups', 'native'],
  ],
  rpc: [...COMMON, 'calls', 'http'],
  'errors.ts': ['lib'],
  'program.ts': [],
  'version.ts': [],
  'config.ts': ['lib', 'config'],
  config: ['lib'],
  'log.ts': ['lib'],
}
const ENTRY = [
  'main.ts',
  'serve.ts',
  'build-features.ts',
  'build-front.ts',
  'daemon.ts',
  'build-parts.ts',
  'rpc-services.ts',
  'features.ts',
  'kept-sandbox.ts',
  'kept-freezes.ts',
  'kept-services.ts',
  'kept-state.ts',
  'kept-versions.ts',
  'kept-watchers.ts',
  'build-upgrade.ts',
  'self-test.ts',
  'start.ts',
]
/** The faces of a feature to the wire may also use these. `rpc.ts` is its table of methods. */
const FACE =
  /^(activity|files|process|filesystem|watch|metrics|supervisor|ports|capabilities|agent-sandbox|terminals|jobs|logs)\/(rpc|service|convert|entry|frames|input-pieces|legacy|search-convert|tree-convert|directories)\.ts$/
const FACE_MAY_IMPORT = ['calls', 'gen']
/**
 * The vocabulary of the protocol: in `rpc/`, in `calls/`, in the faces and in the page. Every other package is used in
 * one file.
 */
const PROTOCOL_PACKAGES = ['npm:@connectrpc/connect', 'npm:@bufbuild/protobuf']
/** The page is made of it. */
const PAGE_PACKAGES = ['npm:preact']

const MAX_LINES = 300
/** Files that are longer, and how long they may be: a program around one state. */
const LONGER: Readonly<Record<string, number>> = { 'src/keeper/keeper.c': 530 }
/** As the formatter breaks lines; it leaves comments and literals. */
const MAX_COLUMNS = 120
const MANY_LINES = 200
/** Words that hide who acts: a client, a caller, a process, a reader, another user. */
const VAGUE = /\b(?:nobody|somebody|anybody|everybody|someone|anyone|everyone|whoever|whomever)\b/i

const sources = globSync('src/**/*.{ts,tsx}', { exclude: (name) => name.endsWith('.d.ts') }).sort()
const tests = globSync('test/**/*.ts').sort()
const native = globSync('{src,test,scripts}/**/*.{cc,h,c}').sort()
const imports = sources.flatMap(importsOf)
const breaches = [
  ...imports.flatMap(direction),
  ...packagesInSeveralFiles(),
  ...[...sources, ...tests, ...native].flatMap(tooLong),
  ...globSync('{src,test,scripts}/**/*.{ts,tsx,mjs,cjs,cc,h,c}', { exclude: ['src/gen/**'] }).flatMap(tooWide),
  ...renamedTests(),
  ...unusedExports(),
  ...vagueWords(),
]
for (const line of breaches) console.error(line)
const lengths = sources.map(lineCount).sort((a, b) => a - b)
console.log(
  `${sources.length} source files, median ${lengths[lengths.length >> 1] ?? 0} lines, ${breaches.length} breaches`,
)
process.exitCode = breaches.length > 0 ? 1 : 0

function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8')
  const statements = text.matchAll(/^\s*(?:import|export)\s+(type\s)?(?:[\w*{}\s,$]+?\sfrom\s+)?'([^']+)'/gm)
  return [...statements].map(([, type, name = '']) => ({
    file,
    target: targetOf(file, name),
    typeOnly: type !== undefined,
  }))
}

function targetOf(file: string, name: string): string {
  if (name.startsWith('node:')) return name
  if (name.startsWith('.')) return partOf(relative('.', resolve(dirname(file), name)))
  return `npm:${name.split('/', name.startsWith('@') ? 2 : 1).join('/')}`
}

function partOf(file: string): string {
  return relative('src', file).split('/', 1)[0] ?? ''
}

function direction({ file, target, typeOnly }: Import): string[] {
  const part = partOf(file)
  const inside = relative('src', file)
  if (part !== 'console' && PAGE_PACKAGES.includes(target))
    return [`${file}: only the console may import ${target.slice(4)}`]
  if (ENTRY.includes(part) || target.startsWith('node:') || target === part) return []
  const face = FACE.test(inside)
  if (target.startsWith('npm:')) {
    const wrong = PROTOCOL_PACKAGES.includes(target)
      ? part !== 'rpc' && part !== 'calls' && part !== 'console' && !face
      : part === 'lib' && !typeOnly
    return wrong ? [`${file}: must not import ${target.slice(4)}`] : []
  }
  const allowed = [...(MAY_IMPORT[part] ?? []), ...(face ? FACE_MAY_IMPORT : [])]
  return allowed.includes(target) ? [] : [`${file}: ${part} must not import ${target}`]
}

function packagesInSeveralFiles(): string[] {
  const users = new Map<string, Set<string>>()
  for (const { file, target, typeOnly } of imports) {
    if (!target.startsWith('npm:') || typeOnly || [...PROTOCOL_PACKAGES, ...PAGE_PACKAGES].includes(target)) continue
    users.set(target, (users.get(target) ?? new Set()).add(file))
  }
  return [...users]
    .filter(([, files]) => files.size > 1)
    .map(([target, files]) => `${target.slice(4)} is imported in ${files.size} files: ${[...files].join(', ')}`)
}

function renamedTests(): string[] {
  return [...INTEGRATION, ...SLOW, ...STRESS, ...E2E_STRESS]
    .filter((file) => !existsSync(file))
    .map((file) => `test/_util/kinds.ts: there is no ${file}`)
}

/** Exports that only their own file uses: they must not be exported. */
function unusedExports(): string[] {
  const texts = [...globSync('{src,test,scripts}/**/*.{ts,tsx}')].map((file) => ({
    file,
    text: readFileSync(file, 'utf8'),
  }))
  return sources.flatMap((source) => {
    const importers = texts.filter(({ file, text }) => file !== source && text.includes(`/${basename(source)}'`))
    const names = readFileSync(source, 'utf8').matchAll(
      /^export (?:async )?(?:function\*?|class|const|interface|type) (\w+)/gm,
    )
    return [...names]
      .filter(([, name]) => !importers.some(({ text }) => new RegExp(`\\b${name}\\b`).test(text)))
      .map(([, name]) => `${source}: only this file uses its export ${name}`)
  })
}

/** In comments and documents; literals and code spans may have any word. */
function vagueWords(): string[] {
  const comments = globSync('{src,test,scripts}/**/*.{ts,tsx,cc,h,c}', { exclude: ['src/gen/**'] }).sort()
  const pages = globSync(['*.md', 'docs/**/*.md', 'test/README.md']).sort()
  return [
    ...comments.flatMap((file) => vagueIn(file, (line) => /(?:^\s*(?:\/\*)?\*|\/\/) .*/.exec(line)?.[0] ?? '')),
    ...pages.flatMap((file) => vagueIn(file, (line) => line)),
  ]
}

function vagueIn(file: string, prose: (line: string) => string): string[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line, index) => {
      const [word] = VAGUE.exec(prose(line).replace(/`[^`]*`/g, '')) ?? []
      return word === undefined ? [] : [`${file}:${index + 1}: say who: "${word}"`]
    })
}

function lineCount(file: string): number {
  return readFileSync(file, 'utf8').split('\n').length - 1
}

/** Literals count nothing: one that is broken is not found by its text. */
function tooWide(file: string): string[] {
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines.flatMap((line, index) => {
    const columns = line.replace(/(['"`]).*\1|\/\^.*\$\//, '').length
    return columns > MAX_COLUMNS ? [`${file}:${index + 1}: ${line.length} columns, at most ${MAX_COLUMNS}`] : []
  })
}

function tooLong(file: string): string[] {
  const lines = lineCount(file)
  const most = LONGER[file] ?? MAX_LINES
  if (lines > most) return [`${file}: ${lines} lines, at most ${most} are allowed`]
  if (lines > MANY_LINES) console.log(`note: ${file}: ${lines} lines`)
  return []
}
