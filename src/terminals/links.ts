import type { Terminal } from '@xterm/headless'
import { innerOf, type LinkService } from './inner.ts'

/** Lines with links on a screen and above it, with that many characters each at most: 1 MB in sum. */
const MAX_LINKS = 500
const MAX_LINK = 1_000

/**
 * The links of a terminal (OSC 8, "Hyperlinks in Terminal Emulators" by Egmont Koblinger). What is too long or too much
 * is drawn without its link.
 */
export class Links {
  readonly #service: LinkService
  /** How often a link has begun or ended. */
  count = 0

  constructor(terminal: Terminal) {
    const { _oscLinkService, _inputHandler, buffers } = innerOf(terminal)
    this.#service = _oscLinkService
    terminal.parser.registerOscHandler(8, (text) => {
      this.count++
      // The emulator has one marker for each line of a link; each moves with every line that scrolls.
      const markers = buffers.normal.markers.length + buffers.alt.markers.length
      const refused = text.length > MAX_LINK || markers >= MAX_LINKS
      return _inputHandler.setHyperlink(refused ? NO_LINK : text)
    })
  }

  /** What begins a link, or ends it for 0 and one that is not known. */
  text(id: number): string {
    const link = id === 0 ? undefined : this.#service.getLinkData(id)
    // One without an id of its own may be written in parts: the same id makes them one.
    const data = link === undefined ? NO_LINK : `id=${link.id ?? `screen-${id}`};${link.uri}`
    return `\u001b]8;${data}\u0007`
  }
}

/** Ends a link. */
const NO_LINK = ';'
