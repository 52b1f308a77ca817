import { mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { replaceFile } from '../lib/replace-file.ts'

/** The number of CPUs that was asked for last, kept for a daemon that is started anew. */
interface TargetFile {
  /** Undefined: there is none, or it cannot be read. Never rejects. */
  read(): Promise<number | undefined>
  /** Replaces the file whole; of several calls at once the last one counts. Rejects with the system error. */
  store(target: number): Promise<void>
}

export function createTargetFile(path: string): TargetFile {
  let wanted: number | undefined
  let stored: number | undefined
  let storing: Promise<void> | undefined
  const storeNewest = async () => {
    while (wanted !== stored) {
      const target = wanted
      await mkdir(dirname(path), { recursive: true })
      await replaceFile(path, String(target), { mode: 0o644 })
      stored = target
    }
  }
  return {
    read: async () => {
      const text = await readFile(path, 'latin1').catch(() => '')
      return /^\d{1,5}\s*$/.test(text) ? Number(text) : undefined
    },
    store: (target) => {
      wanted = target
      storing ??= storeNewest().finally(() => {
        storing = undefined
      })
      return storing
    },
  }
}
