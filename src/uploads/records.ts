import { mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../errors.ts'
import { failureKind, reasonOf } from '../filesystem/failure.ts'
import { replaceFile } from '../lib/replace-file.ts'
import { MAX_FINISHED, MAX_RECORD_BYTES, MAX_UPLOADS } from './limits.ts'
import { parseRecord, recordText, type UploadRecord } from './record.ts'

/** The records of uploads, on the disk: a file each, in a directory for the daemon alone. */
interface Records {
  /** What earlier daemons have left; what cannot be read is removed. Never rejects. */
  load(): Promise<UploadRecord[]>
  /** Writes a record to the disk. Rejects with AppError. */
  save(record: UploadRecord): Promise<void>
  /** Removes one; a missing one is no error. Rejects with the system error. */
  remove(id: string): Promise<void>
}

const NAME = /^([0-9a-f-]{36})\.json$/

/** @param dir is made when the first record is written. */
export function openRecords(dir: string): Records {
  const pathOf = (id: string) => join(dir, `${id}.json`)
  return {
    load: async () => {
      const names = await readdir(dir).catch(() => [])
      const found: UploadRecord[] = []
      for (const name of names.slice(0, MAX_UPLOADS + MAX_FINISHED)) {
        const record = NAME.test(name) ? await read(join(dir, name)) : undefined
        if (record !== undefined && `${record.id}.json` === name) found.push(record)
        else await rm(join(dir, name), { force: true }).catch(() => {})
      }
      return found
    },
    save: async (record) => {
      try {
        await mkdir(dir, { recursive: true, mode: 0o700 })
        await replaceFile(pathOf(record.id), recordText(record), { mode: 0o600, durable: true })
      } catch (error) {
        const what = `uploads cannot be recorded in ${dir} (-upload-dir): ${reasonOf(error)}`
        throw new AppError(failureKind(error), what, { cause: error })
      }
    },
    remove: (id) => rm(pathOf(id), { force: true }),
  }
}

async function read(path: string): Promise<UploadRecord | undefined> {
  try {
    const file = await open(path, 'r')
    try {
      const bytes = Buffer.alloc(MAX_RECORD_BYTES)
      const { bytesRead } = await file.read(bytes, 0, bytes.length, 0)
      return parseRecord(bytes.toString('utf8', 0, bytesRead))
    } finally {
      await file.close()
    }
  } catch {
    return undefined
  }
}
