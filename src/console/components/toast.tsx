import { useCallback, useRef, useState } from 'preact/hooks'

/** What a message is about. */
type Tone = 'info' | 'success' | 'error'

/** Shows a message for some seconds. */
export type Notify = (text: string, tone?: Tone) => void

/** One that is shown. */
interface Toast {
  readonly id: number
  readonly text: string
  readonly tone: Tone
}

const SHOWN_MS = 6_000
/** More would cover the page. */
const MAX_SHOWN = 4

/** The messages that are shown, and the function that adds one. */
export function useToasts(): [readonly Toast[], Notify] {
  const [toasts, setToasts] = useState<readonly Toast[]>([])
  const last = useRef(0)
  const notify = useCallback<Notify>((text, tone = 'info') => {
    last.current += 1
    const id = last.current
    setToasts((shown) => [...shown, { id, text, tone }].slice(-MAX_SHOWN))
    setTimeout(() => setToasts((shown) => shown.filter((toast) => toast.id !== id)), SHOWN_MS)
  }, [])
  return [toasts, notify]
}

/** Shows them in a corner; screen readers speak them. */
export function Toasts({ toasts }: { readonly toasts: readonly Toast[] }) {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.map(({ id, text, tone }) => (
        <div key={id} class={`toast ${tone}`}>
          {text}
        </div>
      ))}
    </div>
  )
}
