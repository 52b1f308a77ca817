/**
 * The first `length` UTF-16 units of a text, without the rest of it: a part that is only cut off keeps all of what it
 * was cut from in memory for as long as it lives.
 */
export function copiedText(text: string, length: number): string {
  return Buffer.from(text.slice(0, length)).toString()
}
