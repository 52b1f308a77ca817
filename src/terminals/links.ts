import type { Terminal } from '@xterm/headless'
import { innerOf, type LinkData } from './inner.ts'

/** Lines with links on a screen and above it, with that many characters each at most: 1 MB in sum. */
const MAX_LINKS = 500
const MAX_LINK = 1_000

/** Links that are known, those included that the emulator has forgotten. */
const MAX_KNOWN = 2 * MAX_LINKS

/** Of a character, in what is kept of a link. */
const CHARACTER_BYTES = 2

/**
 * The links of a terminal (OSC 8, "Hyperlinks in Terminal Emulators" by Egmont Koblinger). What is too long or too much
 * is drawn without its link. The emulator forgets a link with the line where it began, although its cells may have been
 * moved to another one: here it is known longer.
 */
export class Links {
  readonly #known = new Map<number, LinkData>()
  #characters = 0
  /** How often a link has begun or ended. */
  count = 0

  constructor(terminal: Terminal) {
    const { _oscLinkService: service, _inputHandler: handler, buffers } = innerOf(terminal)
    terminal.parser.registerOscHandler(8, (text) => {
      this.count++
      // The emulator has one marker for each line of a link; each moves with every line that scrolls.
      const markers = buffers.normal.markers.length + buffers.alt.markers.length
      const refused = text.length > MAX_LINK || markers >= MAX_LINKS
      const result = handler.setHyperlink(refused ? NO_LINK : text)
      const id = handler._curAttrData.extended.urlId
      const link = id === 0 ? undefined : service.getLinkData(id)
      if (link !== undefined) this.#learn(id, link)
      return result
    })
  }

  /** The one that began last; 0: none has. */
  get last(): number {
    return [...this.#known.keys()].at(-1) ?? 0
  }

  /** Bytes that are kept of links, at most. */
  get bytes(): number {
    return this.#characters * CHARACTER_BYTES
  }

  /** What begins a link, or ends it for 0 and one that is not known. */
  text(id: number): string {
    const link = id === 0 ? undefined : this.#known.get(id)
    // One without an id of its own may be written in parts: the same id makes them one.
    const data = link === undefined ? NO_LINK : `id=${link.id ?? `screen-${id}`};${link.uri}`
    return `\u001b]8;${data}\u0007`
  }

  /** The one that began last is known longest. */
  #learn(id: number, link: LinkData): void {
    this.#forget(id)
    this.#known.set(id, link)
    this.#characters += charactersOf(link)
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MAX_KNOWN) break
      this.#forget(oldest)
    }
  }

  #forget(id: number): void {
    const link = this.#known.get(id)
    if (link === undefined) return
    this.#known.delete(id)
    this.#characters -= charactersOf(link)
  }
}

function charactersOf({ id = '', uri }: LinkData): number {
  return id.length + uri.length
}

/** Ends a link. */
const NO_LINK = ';'
