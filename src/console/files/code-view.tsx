import { useEffect, useRef, useState } from 'preact/hooks'
import type { CodeEditor } from './code-editor.ts'

interface CodeViewProps {
  readonly text: string
  readonly name: string
  readonly label: string
  readonly readOnly: boolean
  /** Shown first, from 1 on. */
  readonly line: number | undefined
  readonly onChange: () => void
  readonly onSave: () => void
  /** Gets the editor when it is there, and undefined at its end. */
  readonly editor: { current: CodeEditor | undefined }
}

/** The editor, whose code is loaded with the first file that is opened. Its text is its own once it is there. */
export function CodeView(props: CodeViewProps) {
  const { text, name, label, readOnly } = props
  const box = useRef<HTMLDivElement>(null)
  const latest = useRef(props)
  latest.current = props
  const [failure, setFailure] = useState('')
  useEffect(() => {
    const host = document.createElement('div')
    host.className = 'editor'
    box.current?.append(host)
    let editor: CodeEditor | undefined
    let over = false
    const start = ({ createCodeEditor }: typeof import('./code-editor.ts')) => {
      if (over) return
      const onChange = () => latest.current.onChange()
      const onSave = () => latest.current.onSave()
      editor = createCodeEditor(host, { text, name, label, readOnly, onChange, onSave })
      latest.current.editor.current = editor
      if (latest.current.line !== undefined) editor.goTo(latest.current.line)
    }
    import('./code-editor.ts').then(start, (error: unknown) => setFailure(`The editor cannot be loaded: ${error}`))
    return () => {
      over = true
      latest.current.editor.current = undefined
      editor?.destroy()
      host.remove()
    }
  }, [name, label, readOnly, text])
  return (
    <div ref={box} class="code">
      {failure === '' ? null : <p role="alert">{failure}</p>}
    </div>
  )
}

/** Two texts side by side. */
export function DiffView({ mine, theirs }: { readonly mine: string; readonly theirs: string }) {
  const box = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const host = document.createElement('div')
    box.current?.append(host)
    let diff: { destroy(): void } | undefined
    let over = false
    // Where it cannot be loaded, the choices are there without it.
    void import('./code-editor.ts')
      .then(({ createDiff }) => {
        if (!over) diff = createDiff(host, { mine, theirs })
      })
      .catch(() => undefined)
    return () => {
      over = true
      diff?.destroy()
      host.remove()
    }
  }, [mine, theirs])
  return (
    <section
      ref={box}
      class="diff"
      aria-label="Differences: on the disk at the left, yours at the right"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by the keyboard
      tabIndex={0}
    />
  )
}
