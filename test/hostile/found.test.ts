import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { replay } from './fuzz-field.ts'

const directory = join(import.meta.dirname, 'found')

test.for(readdirSync(directory))('what the fuzzer found is mended: %s', async (name, context) => {
  const text = readFileSync(join(directory, name), 'utf8')
  expect(await replay(context, text)).toBeUndefined()
})
