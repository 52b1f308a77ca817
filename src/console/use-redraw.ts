import { useRef, useState } from 'preact/hooks'

/**
 * For what grows in place: `redraw` renders the component again, with another `version`. However often it is called,
 * that happens once in a frame.
 */
export function useRedraw(): { readonly version: number; readonly redraw: () => void } {
  const [version, setVersion] = useState(0)
  const frame = useRef<number | undefined>(undefined)
  const redraw = useRef(() => {
    frame.current ??= requestAnimationFrame(() => {
      frame.current = undefined
      setVersion((last) => last + 1)
    })
  })
  return { version, redraw: redraw.current }
}
