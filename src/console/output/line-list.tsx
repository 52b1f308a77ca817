import type { ComponentChildren } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import './line-list.css'

/** Pixels; the style sheet has the same. */
const LINE_HEIGHT = 18
/** Lines beyond the edges that are there already when it is scrolled. */
const MARGIN = 20

interface LineListProps {
  /** What it contains, for screen readers. */
  readonly label: string
  /** Numbers of the oldest line and of the one after the newest. */
  readonly start: number
  readonly end: number
  readonly line: (number: number) => ComponentChildren
  readonly classOf: (number: number) => string
  /** Stays at the newest line. Scrolling up ends that, scrolling to the end begins it. */
  readonly follow: boolean
  readonly onFollow: (follow: boolean) => void
  /** The line that was jumped to; shown in the middle. */
  readonly target: number | undefined
}

/** Lines of equal height, of which only those are in the document that can be seen. */
export function LineList({ label, start, end, line, classOf, follow, onFollow, target }: LineListProps) {
  const root = useRef<HTMLElement>(null)
  const [view, setView] = useState({ top: 0, height: 600 })
  const lastStart = useRef(start)
  const measure = () => {
    const { current } = root
    if (current !== null) setView({ top: current.scrollTop, height: current.clientHeight })
  }
  const resized = () => {
    // Other parts of the page have grown or shrunk: the newest line stays in sight.
    if (follow && root.current !== null) root.current.scrollTop = root.current.scrollHeight
    measure()
  }
  useEffect(() => observeSize(root.current, resized), [follow])
  useLayoutEffect(() => {
    const { current } = root
    if (current === null) return
    // What has gone at the top moves nothing that is looked at.
    if (follow) current.scrollTop = current.scrollHeight
    else if (start !== lastStart.current) current.scrollTop -= (start - lastStart.current) * LINE_HEIGHT
    lastStart.current = start
    measure()
  }, [start, end, follow])
  useLayoutEffect(() => {
    const { current } = root
    if (current === null || target === undefined) return
    current.scrollTop = (target - lastStart.current) * LINE_HEIGHT - current.clientHeight / 2
    measure()
  }, [target])
  const onScroll = (event: Event & { readonly currentTarget: HTMLElement }) => {
    const { scrollTop, clientHeight, scrollHeight } = event.currentTarget
    const atEnd = scrollTop + clientHeight >= scrollHeight - LINE_HEIGHT
    // Layout scrolls by itself when lines come; only moves away from the end are the user's.
    if (atEnd !== follow && (atEnd || scrollTop < view.top)) onFollow(atEnd)
    measure()
  }
  const first = Math.max(start, start + Math.floor(view.top / LINE_HEIGHT) - MARGIN)
  const last = Math.min(end, first + Math.ceil(view.height / LINE_HEIGHT) + 2 * MARGIN)
  const numbers = Array.from({ length: Math.max(0, last - first) }, (_, i) => first + i)
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by the keyboard
    <section ref={root} class="lines" aria-label={label} tabIndex={0} onScroll={onScroll}>
      <div class="all" style={{ height: `${(end - start) * LINE_HEIGHT}px` }}>
        <div class="seen" style={{ top: `${(first - start) * LINE_HEIGHT}px` }}>
          {numbers.map((number) => (
            <div key={number} class={`line ${classOf(number)}`} data-line={number}>
              {line(number)}
            </div>
          ))}
        </div>
      </div>
    </section>
  )
}

function observeSize(element: Element | null, onSize: () => void): (() => void) | undefined {
  if (element === null) return undefined
  const observer = new ResizeObserver(onSize)
  observer.observe(element)
  return () => observer.disconnect()
}
