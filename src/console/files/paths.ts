/** The longest name that Linux takes, in bytes of UTF-8 (`NAME_MAX`, limits.h). */
const NAME_BYTES = 255

/** The path of `name` in `directory`. */
export function joinPath(directory: string, name: string): string {
  return directory.endsWith('/') ? `${directory}${name}` : `${directory}/${name}`
}

/** The directory that an absolute path is in; that of `/` is `/`. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf('/')
  return slash <= 0 ? '/' : path.slice(0, slash)
}

/** The last component of an absolute path; of `/` it is `/`. */
export function nameOf(path: string): string {
  return path === '/' ? '/' : path.slice(path.lastIndexOf('/') + 1)
}

/** Whether `path` is `directory` or below it. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(joinPath(directory, ''))
}

/** The directories from `/` down to `path`, itself included. */
export function crumbsOf(path: string): readonly string[] {
  return path === '/' ? ['/'] : [...crumbsOf(parentOf(path)), path]
}

/**
 * Whether requests can name a file by this path. Names that are not UTF-8 come with U+FFFD in place of their bytes
 * (contract C25), which is another name. A name that really has U+FFFD in it is taken for one of those.
 */
export function isAddressable(path: string): boolean {
  return !path.includes('\uFFFD')
}

/**
 * A name as it may be put on the page: control characters as their symbols (a newline is U+2424), and marks that change
 * the direction or are not seen by their numbers, so that `evil<RLO>gpj.exe` does not look like another name. Of a
 * longer text than paths can be (4,096 characters) the rest is left out.
 */
export function shownName(name: string): string {
  return name.slice(0, 4096).replace(UNSEEN, (character) => {
    const code = character.codePointAt(0) ?? 0
    if (code === 0x0a) return '\u2424'
    if (code < 0x20) return String.fromCodePoint(0x2400 + code)
    if (code === 0x7f) return '\u2421'
    return `\u27E8U+${code.toString(16).toUpperCase().padStart(4, '0')}\u27E9`
  })
}

/** Controls, format characters (directions, joiners, tags), separators of lines, and blanks of other kinds. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu

/** Why a file cannot be called so; undefined where it can. */
export function problemWithName(name: string): string | undefined {
  if (name === '') return 'A name is needed.'
  if (name === '.' || name === '..') return `A file cannot be called “${name}”.`
  if (name.includes('/')) return 'A name cannot contain a slash.'
  if (name.includes('\0')) return 'A name cannot contain a zero byte.'
  const bytes = new TextEncoder().encode(name).length
  return bytes > NAME_BYTES ? `A name has at most ${NAME_BYTES} bytes; this one has ${bytes}.` : undefined
}

/** The name of a copy of a file: `notes (my copy).txt`, `notes (my copy 2).txt`; cut so that it stays a name. */
export function copyName(name: string, number: number): string {
  const dot = name.lastIndexOf('.')
  const [stem, extension] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, '']
  const mark = number === 1 ? ' (my copy)' : ` (my copy ${number})`
  let kept = stem
  while (problemWithName(`${kept}${mark}${extension}`) !== undefined && kept !== '')
    kept = [...kept].slice(0, -1).join('')
  return `${kept}${mark}${extension}`
}
