/**
 * UTF-16 units of a message: room for two paths of the longest kind. Texts of clients get into messages, and some may
 * be as long as a request.
 */
const MAX_LENGTH = 8192

/** Control characters but for tab and newline: they change what a terminal shows, and no header may have them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\0-\x08\x0b-\x1f\x7f-\x9f]/g

/**
 * A text that every protocol can carry: well-formed Unicode (half surrogate pairs become U+FFFD), control characters
 * other than tab and newline as `\u001b`, and the middle left out of what is longer than `limit` UTF-16 units, as the
 * reason stands at the end. An escape is longer than what it stands for: the result has at most six times as many
 * units.
 */
export function messageText(text: string, limit = MAX_LENGTH): string {
  return shortened(text, limit)
    .toWellFormed()
    .replace(CONTROL, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function shortened(text: string, limit: number): string {
  if (text.length <= limit) return text
  const kept = limit >> 1
  return `${text.slice(0, kept)} … ${text.slice(-kept)}`
}
