/**
 * licences.ts DIRECTORY LIBRARIES LOADER: puts the licence texts of all that the bundle contains into DIRECTORY: of
 * Node, of each package in the JavaScript (as its source map tells), of the system libraries listed in the file
 * LIBRARIES. `packages.txt` names every package with its version and licence; those that come without a text are under
 * one of the common ones.
 */
import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

const [target = '', libraryList = '', loader = ''] = process.argv.slice(2)
mkdirSync(target, { recursive: true })
const node = globSync('node_modules/node-linux-*/LICENSE')[0]
if (node === undefined) throw new Error('the licence of Node is missing')
cpSync(node, join(target, 'node.txt'))
const lines = [...packages()].sort().map(copyPackageLicence)
writeFileSync(join(target, 'packages.txt'), `${lines.join('\n')}\n`)
const libraries = [...readFileSync(libraryList, 'utf8').trim().split('\n'), loader]
for (const owner of new Set(libraries.map(ownerOf))) copySystemLicence(owner)
// What the texts of the libraries refer to.
for (const name of ['Apache-2.0', 'BSD', 'GPL-3', 'LGPL-2.1']) {
  const text = join('/usr/share/common-licenses', name)
  if (existsSync(text)) cpSync(text, join(target, `${name}.txt`), { dereference: true })
}

/** The directories of all packages with a source in the bundle, the console's included. */
function packages(): Set<string> {
  const { sources }: { sources: string[] } = JSON.parse(readFileSync('dist/envd.cjs.map', 'utf8'))
  const directories = sources.map(
    (source) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(source.replace(/^(\.\.\/)+/, ''))?.[0],
  )
  const ofConsole: string[] = JSON.parse(readFileSync('dist/console.packages.json', 'utf8'))
  return new Set([...directories.filter((directory) => directory !== undefined), ...ofConsole])
}

/** Gives the package's line of `packages.txt`. */
function copyPackageLicence(directory: string): string {
  const manifest: { name: string; version: string; license?: string } = JSON.parse(
    readFileSync(join(directory, 'package.json'), 'utf8'),
  )
  const file = readdirSync(directory).find((name) => /^(licen[cs]e|copying)/i.test(name))
  const text = `${manifest.name.replace('/', '-').replace('@', '')}.txt`
  if (file === undefined && manifest.license === undefined) throw new Error(`${directory} names no licence`)
  if (file !== undefined) cpSync(join(directory, file), join(target, text))
  return `${manifest.name} ${manifest.version}: ${manifest.license ?? 'see'}${file === undefined ? '' : ` ${text}`}`
}

/** The Debian package that a library belongs to; elsewhere the library's own name. */
function ownerOf(library: string): string {
  for (const path of [
    library,
    realpathSync(library),
    library.replace(/^\/lib/, '/usr/lib'),
    library.replace(/^\/usr/, ''),
  ]) {
    try {
      const text = execFileSync('dpkg', ['-S', path], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      return text.split(':', 1)[0] ?? path
    } catch {}
  }
  return basename(dirname(library))
}

function copySystemLicence(owner: string): void {
  const text = `/usr/share/doc/${owner}/copyright`
  if (existsSync(text)) cpSync(text, join(target, `${owner}.txt`), { dereference: true })
  else console.warn(`licences: none found for ${owner}: add its text before you pass the bundle on`)
}
