import { readdir } from 'node:fs/promises'
import { EventType } from '../../src/gen/filesystem/filesystem_pb.js'
import type { Change } from '../../src/watch/change.ts'

/** Every path below a directory. */
export async function pathsBelow(directory: string): Promise<Set<string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  return new Set(entries.map(({ parentPath, name }) => `${parentPath}/${name}`.slice(directory.length + 1)))
}

/** Every directory below one, itself not included. */
export async function directoriesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ parentPath, name }) => `${parentPath}/${name}`.slice(directory.length + 1))
}

/** What a client that knows nothing but the changes takes for the paths of a tree. */
export class Replay {
  readonly paths: Set<string>

  constructor(start: Iterable<string>) {
    this.paths = new Set(start)
  }

  apply({ name, type }: Change): void {
    if (type === EventType.CREATE) this.paths.add(name)
    if (type !== EventType.REMOVE && type !== EventType.RENAME) return
    this.paths.delete(name)
    for (const path of this.paths) if (path.startsWith(`${name}/`)) this.paths.delete(path)
  }
}
