/**
 * A text without those of `characters` that it ends with. In time that grows with the length alone: an expression such
 * as `/ +$/` tries every run of them anew, 3 s for 60 KB of spaces before another character.
 */
export function withoutTrailing(text: string, characters: string): string {
  let end = text.length
  while (end > 0 && characters.includes(text.charAt(end - 1))) end--
  return text.slice(0, end)
}
