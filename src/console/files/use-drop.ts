import { useState } from 'preact/hooks'
import { type Dropped, readDropped } from './dropped.ts'
import { parentOf } from './paths.ts'

/**
 * What an element needs to take files that are dropped on it, and the directory that is dragged over: that of the row
 * below the pointer, else the root.
 */
export function useDrop(root: string, onDrop: (directory: string, dropped: Promise<Dropped>) => void) {
  const [target, setTarget] = useState<string | undefined>(undefined)
  const onDragOver = (event: DragEvent) => {
    if (event.dataTransfer?.types.includes('Files') !== true) return
    event.preventDefault()
    event.dataTransfer.dropEffect = 'copy'
    setTarget(directoryAt(event.target, root))
  }
  const onDragLeave = ({ currentTarget, relatedTarget }: DragEvent) => {
    const inside =
      currentTarget instanceof Node && relatedTarget instanceof Node && currentTarget.contains(relatedTarget)
    if (!inside) setTarget(undefined)
  }
  const onDropped = (event: DragEvent) => {
    setTarget(undefined)
    if (event.dataTransfer === null || !event.dataTransfer.types.includes('Files')) return
    event.preventDefault()
    onDrop(directoryAt(event.target, root), readDropped(event.dataTransfer))
  }
  return { target, handlers: { onDragOver, onDragLeave, onDrop: onDropped } }
}

function directoryAt(target: EventTarget | null, root: string): string {
  const row = target instanceof Element ? target.closest<HTMLElement>('[data-path]') : null
  const path = row?.dataset['path']
  if (path === undefined) return root
  return row?.dataset['kind'] === 'directory' ? path : parentOf(path)
}
