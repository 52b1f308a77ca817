import type { ComponentChildren } from 'preact'
import { type Segment, segmentsOf, type TextStyle } from './ansi.ts'
import type { OutputLine } from './lines.ts'

interface StyledTextProps {
  readonly line: OutputLine
  /** What is marked; empty: nothing. */
  readonly search: string
}

/** A line of output in its colours, with what is searched for marked. */
export function StyledText({ line, search }: StyledTextProps) {
  return (
    <>
      {line.kind === 'stderr' ? <span class="visually-hidden">stderr: </span> : null}
      {segmentsOf(line.text, line.style).map((segment, index) => (
        <Piece key={index} segment={segment} search={search} />
      ))}
    </>
  )
}

function Piece({ segment, search }: { readonly segment: Segment; readonly search: string }) {
  const { text, style } = segment
  const { fg, bg } = style
  const colours = {
    ...(typeof fg === 'string' ? { '--fg': fg } : {}),
    ...(typeof bg === 'string' ? { '--bg': bg } : {}),
  }
  return (
    <span class={classOf(style)} style={colours}>
      {marked(text, search)}
    </span>
  )
}

function classOf({ fg, bg, ...flags }: TextStyle): string {
  return [
    ...(fg === undefined ? [] : [typeof fg === 'number' ? `fg-${fg}` : 'fg-own']),
    ...(bg === undefined ? [] : ['bg-any', typeof bg === 'number' ? `bg-${bg}` : 'bg-own']),
    ...Object.keys(flags).map((name) => `text-${name}`),
  ].join(' ')
}

/** The text with each occurrence in an element of its own. */
export function marked(text: string, search: string): ComponentChildren {
  if (search === '') return text
  const parts: ComponentChildren[] = []
  const [lower, wanted] = [text.toLowerCase(), search.toLowerCase()]
  let at = 0
  for (let found = lower.indexOf(wanted); found >= 0; found = lower.indexOf(wanted, at)) {
    parts.push(text.slice(at, found), <mark key={found}>{text.slice(found, found + wanted.length)}</mark>)
    at = found + wanted.length
  }
  return [...parts, text.slice(at)]
}
