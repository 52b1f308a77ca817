import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Field, Traffic } from '../field.ts'

/** Removes what a run made: entries of the directory whose names begin with its id. */
export async function remove(dir: string, id: string): Promise<void> {
  const names = (await readdir(dir)).filter((name) => name === id || name.startsWith(`${id}.`))
  await Promise.all(names.map((name) => rm(join(dir, name), { recursive: true, force: true, maxRetries: 5 })))
}

/** Traffic whose files are removed after each run, whatever came of it. */
export function cleaned(name: string, run: Traffic['run'], weight = 1): Traffic {
  return {
    name,
    weight,
    async run(field: Field, id: string) {
      try {
        await run(field, id)
      } finally {
        await remove(field.dir, id)
      }
    },
  }
}
