import { MAX_UPLOADS } from './upload-queue.ts'

/** A file that was dropped or chosen, with its path below the place where it goes. */
export interface Chosen {
  readonly file: File
  readonly path: string
}

/** What was dropped: files, and directories for which there is no file to make them. */
export interface Dropped {
  readonly files: readonly Chosen[]
  readonly directories: readonly string[]
}

/**
 * Reads what was dropped, directories included, at most MAX_UPLOADS entries. Must be called before the event has ended:
 * the browser empties its data then.
 */
export async function readDropped({ items }: DataTransfer): Promise<Dropped> {
  const roots = [...items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null)
  const files: Chosen[] = []
  const directories: string[] = []
  const waiting = roots.map((entry) => ({ entry, path: entry.name }))
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (files.length + directories.length >= MAX_UPLOADS) break
    const { entry, path } = next
    if (isFile(entry)) files.push({ file: await fileOf(entry), path })
    if (!isDirectory(entry)) continue
    const children = await childrenOf(entry)
    if (children.length === 0) directories.push(path)
    waiting.push(...children.map((child) => ({ entry: child, path: `${path}/${child.name}` })))
  }
  return { files, directories }
}

/** Files of an `<input>`, which says the directory of each if directories are chosen. */
export function readChosen(list: FileList): readonly Chosen[] {
  return [...list].map((file) => ({ file, path: file.webkitRelativePath === '' ? file.name : file.webkitRelativePath }))
}

function isFile(entry: FileSystemEntry): entry is FileSystemFileEntry {
  return entry.isFile
}

function isDirectory(entry: FileSystemEntry): entry is FileSystemDirectoryEntry {
  return entry.isDirectory
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject))
}

/** A reader returns some 100 entries at a time, and none at the end. */
async function childrenOf(directory: FileSystemDirectoryEntry): Promise<readonly FileSystemEntry[]> {
  const reader = directory.createReader()
  const children: FileSystemEntry[] = []
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject))
    if (some.length === 0 || children.length >= MAX_UPLOADS) return children
    children.push(...some)
  }
}
