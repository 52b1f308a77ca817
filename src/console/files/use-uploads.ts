import { useEffect, useState } from 'preact/hooks'
import type { Notify } from '../components/toast.tsx'
import type { Session } from '../session.ts'
import type { FilesApi } from './api.ts'
import type { Chosen, Dropped } from './dropped.ts'
import { textOf } from './failure.ts'
import { joinPath } from './paths.ts'
import { discardResumable, sendResumable } from './send-resumable.ts'
import { sendWhole } from './send-whole.ts'
import { UploadQueue } from './upload-queue.ts'

interface Source {
  readonly file: File
  /** That of the user who has chosen it. */
  readonly api: FilesApi
}

/** What is smaller is sent again sooner than it is asked how much of it has come. */
const RESUMABLE_BYTES = 1024 * 1024

/** Uploads go on while another view is shown, until the page is signed in anew. */
const QUEUES = new WeakMap<object, { readonly queue: UploadQueue<Source>; readonly listeners: Set<() => void> }>()

function queueOf(session: Session) {
  const known = QUEUES.get(session)
  if (known !== undefined) return known
  const listeners = new Set<() => void>()
  let scheduled = false
  const onChange = () => {
    if (scheduled) return
    scheduled = true
    // Also while the page is in the background, where there are no frames.
    setTimeout(() => {
      scheduled = false
      for (const listener of listeners) listener()
    }, 50)
  }
  const made = {
    listeners,
    queue: new UploadQueue<Source>({
      send: ({ file, api }, upload, options) =>
        upload.size < RESUMABLE_BYTES
          ? sendWhole(file, api.postTo(upload.path, upload), options)
          : sendResumable(file, api.uploadTo(upload.path, upload), options),
      discard: async ({ file, api }, upload) => {
        if (upload.size >= RESUMABLE_BYTES)
          await discardResumable(file, api.uploadTo(upload.path, upload)).catch(() => {})
      },
      onChange,
    }),
  }
  QUEUES.set(session, made)
  window.addEventListener('beforeunload', (event) => {
    if (made.queue.totals().open > 0) event.preventDefault()
  })
  return made
}

/** The uploads of a session, and what adds to them. */
export function useUploads(session: Session, api: FilesApi, notify: Notify) {
  const { queue, listeners } = queueOf(session)
  const [, setVersion] = useState(0)
  useEffect(() => {
    const listener = () => setVersion((last) => last + 1)
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }, [listeners])
  const add = (directory: string, chosen: readonly Chosen[]) => {
    const files = chosen.map(({ file, path }) => ({
      source: { file, api },
      path: joinPath(directory, path),
      size: file.size,
    }))
    const left = queue.add(files)
    if (left > 0) notify(`${left} files were left out: there are too many.`, 'error')
  }
  return {
    queue,
    add,
    /** Files and directories that were dropped; empty directories are made. */
    async drop(directory: string, dropped: Promise<Dropped>) {
      try {
        const { files, directories } = await dropped
        add(directory, files)
        for (const path of directories) await api.makeDirectory(joinPath(directory, path))
      } catch (error) {
        notify(textOf(error), 'error')
      }
    },
  }
}
