import { useEffect, useRef, useState } from 'preact/hooks'
import type { Notify } from '../components/toast.tsx'
import type { FilesApi } from './api.ts'
import type { CodeEditor } from './code-editor.ts'
import type { Conflict } from './conflict.tsx'
import { textOf } from './failure.ts'
import { decode, type OpenedText } from './opened-file.ts'
import { nameOf, shownName } from './paths.ts'
import { type Saved, save, saveCopy } from './saving.ts'

interface EditingOptions {
  readonly api: FilesApi
  readonly path: string
  readonly opened: OpenedText
  readonly notify: Notify
  /** Whether there are changes that are not saved. */
  readonly onDirty: (dirty: boolean) => void
  /** Another file is to be shown. */
  readonly onOpen: (path: string) => void
  /** The same file is to be read again. */
  readonly onReload: () => void
}

/** What is kept of the file beside its text, at most what can be edited. */
const MAX_THEIRS = 8 * 1024 * 1024

/** Editing of one text: its tag, whether it has changed, saving and conflicts. */
export function useEditing({ api, path, opened, notify, onDirty, onOpen, onReload }: EditingOptions) {
  const editor = useRef<CodeEditor | undefined>(undefined)
  // The tag that the text was read with or saved as.
  const tag = useRef(opened.tag)
  const [dirty, setDirty] = useState(false)
  const [saving, setSaving] = useState(false)
  const [conflict, setConflict] = useState<Conflict | undefined>(undefined)
  useEffect(() => {
    tag.current = opened.tag
    setDirty(false)
  }, [opened])
  useEffect(() => onDirty(dirty), [dirty])
  const attempt = async (work: (text: string) => Promise<void>) => {
    const text = editor.current?.text()
    if (text === undefined || saving) return
    setSaving(true)
    await work(text).catch((error: unknown) => notify(`Not saved. ${textOf(error)}`, 'error'))
    setSaving(false)
  }
  const write = (expected: string | undefined) =>
    attempt(async (text) => {
      const saved = await save(api, path, text, expected)
      if (saved.kind === 'conflict') return setConflict({ mine: text, ...(await onDisk(api, path)) })
      tag.current = saved.tag
      setConflict(undefined)
      // What was typed meanwhile is not saved.
      setDirty(editor.current?.text() !== text)
      notify(`${shownName(nameOf(path))} is saved.`, 'success')
    })
  const end = () => {
    setConflict(undefined)
    setDirty(false)
  }
  const onCopied = (saved: Saved) => {
    end()
    if (saved.kind === 'saved') onOpen(saved.path)
  }
  return {
    ...{ editor, dirty, saving, conflict, tag },
    keepCopy: () => attempt((text) => saveCopy(api, path, text).then(onCopied)),
    onChange: () => setDirty(true),
    save: () => (opened.partial === undefined ? write(tag.current) : Promise.resolve()),
    overwrite: () => write(conflict?.tag),
    reload: () => {
      end()
      onReload()
    },
    giveUpConflict: () => setConflict(undefined),
  }
}

async function onDisk(api: FilesApi, path: string): Promise<Omit<Conflict, 'mine'>> {
  const content = await api.read(path, MAX_THEIRS).catch(() => undefined)
  return { theirs: content && decode(content.bytes), tag: content?.tag }
}
