import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Writes an executable file, for a shell as a rule. */
export async function writeScript(directory: string, name: string, text: string): Promise<void> {
  await writeFile(join(directory, name), text)
  await chmod(join(directory, name), 0o755)
}
