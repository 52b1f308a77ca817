import type { TerminalItem } from './attachment.ts'

/** Characters of the screen in one event; more are in several. */
const MAX_EVENT = 64 * 1024

/**
 * A stream of an attachment as an asciicast v2 (docs.asciinema.org, "asciicast v2"): lines with their ends. The first
 * events are the screen.
 */
export async function* recording(items: AsyncIterable<TerminalItem>): AsyncGenerator<string | 'keepalive', void> {
  const began = performance.now()
  const decoder = new TextDecoder()
  let screen = ''
  let headed = false
  const line = (code: 'o' | 'r', data: string) =>
    `${JSON.stringify([Math.round((performance.now() - began) * 1000) / 1e6, code, data])}\n`
  for await (const item of items) {
    if (item.kind === 'keepalive') yield 'keepalive'
    if (item.kind === 'screen') {
      if (!headed) yield header(item.snapshot)
      headed = true
      screen += Buffer.from(item.part).toString()
      if (!item.more || screen.length > MAX_EVENT) {
        yield line('o', screen)
        screen = ''
      }
    }
    if (item.kind === 'output') {
      const text = decoder.decode(item.bytes, { stream: true })
      if (text !== '') yield line('o', text)
    }
    if (item.kind === 'resized') yield line('r', `${item.size.columns}x${item.size.rows}`)
  }
}

function header({ size, title }: Extract<TerminalItem, { kind: 'screen' }>['snapshot']): string {
  const named = title === '' ? {} : { title }
  const { columns: width, rows: height } = size
  const timestamp = Math.floor(Date.now() / 1000)
  return `${JSON.stringify({ version: 2, width, height, timestamp, ...named, env: { TERM: 'xterm-256color' } })}\n`
}
