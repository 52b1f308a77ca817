/** What the launcher starts: the program beside this file, with its code cache. */
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadProgram } from './program.ts'

const program = loadProgram(dirname(fileURLToPath(import.meta.url)))
if (program.script.cachedDataRejected === true)
  process.stderr.write('envd: the code cache is of another Node or of other flags: this start is slower\n')
program.run()
