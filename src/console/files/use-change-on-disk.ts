import { useEffect, useRef, useState } from 'preact/hooks'
import type { FilesApi } from './api.ts'
import type { FilesStore } from './store.ts'

/** A file that is written piece by piece is looked at once. */
const SETTLE_MS = 250

interface Watched {
  readonly api: Pick<FilesApi, 'compare'>
  readonly store: Pick<FilesStore, 'onFile'>
  readonly path: string
  /** As it was read, or saved. */
  readonly tag: { readonly current: string | undefined }
  readonly dirty: boolean
  readonly saving: boolean
  readonly onReload: () => void
}

/**
 * Follows a file whose directory is watched: reads it again if it has changed and was not edited here.
 * @returns what to show if it was edited.
 */
export function useChangeOnDisk(watched: Watched): string | undefined {
  const latest = useRef(watched)
  latest.current = watched
  const { store, path } = watched
  const [found, setFound] = useState<'same' | 'changed' | 'gone'>('same')
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    let over = false
    const look = async () => {
      const { api, tag, saving } = latest.current
      if (saving) return schedule()
      const expected = tag.current
      if (expected === undefined) return
      // What cannot be looked at now is found when it is saved.
      const state = await api.compare(path, expected).catch(() => 'same' as const)
      if (over || tag.current !== expected) return
      setFound(state)
      if (state === 'changed' && !latest.current.dirty) latest.current.onReload()
    }
    const schedule = () => {
      clearTimeout(timer)
      timer = setTimeout(() => void look(), SETTLE_MS)
    }
    const unsubscribe = store.onFile((changed) => changed === path && schedule())
    return () => {
      over = true
      clearTimeout(timer)
      unsubscribe()
    }
  }, [store, path])
  if (found === 'gone') return 'This file was removed or moved. Saving asks what to do.'
  return found === 'changed' && watched.dirty ? 'This file has changed on the disk. Saving asks what to do.' : undefined
}
