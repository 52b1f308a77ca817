import type { ComponentChildren } from 'preact'
import { useId, useLayoutEffect, useRef } from 'preact/hooks'

interface DialogProps {
  readonly title: string
  /** Called when it is left by Escape or its button. */
  readonly onClose: () => void
  readonly children: ComponentChildren
}

/** A modal dialog while it is rendered. The browser keeps the focus within, and puts it back at the end. */
export function Dialog({ title, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  const heading = useId()
  useLayoutEffect(() => {
    const { current } = dialog
    const before = document.activeElement
    current?.showModal()
    return () => {
      current?.close()
      // A dialog that is off the page already puts it back nowhere.
      if (before instanceof HTMLElement) before.focus({ preventScroll: true })
    }
  }, [])
  const cancel = (event: Event) => {
    event.preventDefault()
    onClose()
  }
  return (
    <dialog ref={dialog} aria-labelledby={heading} onCancel={cancel}>
      <header>
        <h2 id={heading}>{title}</h2>
        <button type="button" class="icon" aria-label="Close" onClick={onClose}>
          ×
        </button>
      </header>
      {children}
    </dialog>
  )
}

interface ConfirmProps {
  readonly title: string
  readonly children: ComponentChildren
  /** On the button that does it. */
  readonly action: string
  readonly onConfirm: () => void
  readonly onClose: () => void
}

/** Asks before something that cannot be undone. */
export function Confirm({ title, children, action, onConfirm, onClose }: ConfirmProps) {
  return (
    <Dialog title={title} onClose={onClose}>
      <div class="body">{children}</div>
      <footer>
        <button type="button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" class="danger" onClick={onConfirm}>
          {action}
        </button>
      </footer>
    </Dialog>
  )
}

interface PromptProps {
  readonly title: string
  /** Of the field. */
  readonly label: string
  readonly value?: string
  readonly action: string
  readonly onSubmit: (value: string) => void
  readonly onClose: () => void
}

/** Asks for one line of text, which is not empty. */
export function Prompt({ title, label, value = '', action, onSubmit, onClose }: PromptProps) {
  const field = useId()
  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    const text = event.currentTarget instanceof HTMLFormElement ? new FormData(event.currentTarget).get('text') : ''
    if (typeof text === 'string' && text.trim() !== '') onSubmit(text.trim())
  }
  return (
    <Dialog title={title} onClose={onClose}>
      <form onSubmit={submit}>
        <div class="body">
          <label for={field}>{label}</label>
          <input
            id={field}
            name="text"
            type="text"
            defaultValue={value}
            required
            autocomplete="off"
            spellcheck={false}
          />
        </div>
        <footer>
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary">
            {action}
          </button>
        </footer>
      </form>
    </Dialog>
  )
}
