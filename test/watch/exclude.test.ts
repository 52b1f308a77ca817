import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { takeSteps } from '../../src/lib/steps.ts'
import { rulesOfFile } from '../../src/watch/exclude.ts'
import { parseExcludeHeader } from '../../src/watch/exclude-header.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { watchDirectory } from './watching.ts'

async function watched(exclude: readonly string[]) {
  const tmp = await makeTmpDir()
  const at = (name: string) => `${tmp.path}/${name}`
  await mkdir(at('src/lib'), { recursive: true })
  await mkdir(at('node_modules/a/b'), { recursive: true })
  const watching = await watchDirectory(tmp.path, { exclude })
  return {
    ...{ at, watching, reported: watching.reported },
    async [Symbol.asyncDispose]() {
      await watching[Symbol.asyncDispose]()
      await tmp[Symbol.asyncDispose]()
    },
  }
}

test('what is excluded is not reported, and its directories get no watch', async () => {
  await using tree = await watched(['node_modules/', '*.log'])
  const { at, reported, watching } = tree
  expect(watching.inotify.watches).toBe(3)
  await writeFile(at('node_modules/a/f'), '')
  await writeFile(at('src/lib/x.log'), 'x')
  await writeFile(at('src/lib/f'), '')
  await mkdir(at('src/node_modules/deep'), { recursive: true })
  await mkdir(at('src/new/in'), { recursive: true })
  await writeFile(at('node_modules/a/g'), '')
  expect(await reported()).toEqual(['CREATE src/lib/f', 'CREATE src/new', 'CREATE src/new/in'])
  expect(watching.inotify.watches).toBe(5)
  await rm(at('node_modules'), { recursive: true })
  expect(await reported()).toEqual([])
})

test('a rename across the border of what is excluded is one of the two halves', async () => {
  await using tree = await watched(['node_modules/', '*.log'])
  const { at, reported, watching } = tree
  await rename(at('node_modules/a'), at('a'))
  expect(await reported()).toEqual(['CREATE a', 'CREATE a/b'])
  await writeFile(at('a/b/f'), '')
  expect(await reported()).toEqual(['CREATE a/b/f'])
  await rename(at('src'), at('node_modules/src'))
  expect(await reported()).toEqual(['RENAME src'])
  await writeFile(at('node_modules/src/f'), '')
  expect(await reported()).toEqual([])
  await expect.poll(() => watching.inotify.watches).toBe(3)
  await rename(at('a/b/f'), at('a/b/f.log'))
  expect(await reported()).toEqual(['RENAME a/b/f'])
  await rename(at('a/b/f.log'), at('a/b/g'))
  expect(await reported()).toEqual(['CREATE a/b/g'])
})

test('what is excluded by its place is reported under another one', async () => {
  await using tree = await watched(['/src/lib'])
  const { at, reported } = tree
  await writeFile(at('src/lib/f'), '')
  expect(await reported()).toEqual([])
  await rename(at('src'), at('source'))
  expect(await reported()).toEqual(['RENAME src', 'CREATE source', 'CREATE source/lib', 'CREATE source/lib/f'])
  await writeFile(at('source/lib/g'), '')
  expect(await reported()).toEqual(['CREATE source/lib/g'])
  await rename(at('source'), at('src'))
  expect(await reported()).toEqual(['RENAME source', 'CREATE src'])
  await writeFile(at('src/lib/h'), '')
  expect(await reported()).toEqual([])
})

test('the header is a list of percent-encoded patterns', () => {
  expect(parseExcludeHeader(undefined)).toEqual([])
  expect(parseExcludeHeader(' a/ ,\t*.log,, ,!b')).toEqual(['a/', '*.log', '!b'])
  expect(parseExcludeHeader('a%2Cb, %C3%A9, 100%25, c%20')).toEqual(['a,b', 'é', '100%', 'c '])
  for (const bad of ['%', '%zz', '%ff', 'a%00b']) {
    expect(() => parseExcludeHeader(bad)).toThrow(/^Watch-Exclude: .* is not percent-encoded UTF-8$/)
  }
})

test('long runs of blanks in a header or a .gitignore cost no more than other text', () => {
  const blanks = (character: string) => `a${character.repeat(100_000)}x`
  const begun = process.cpuUsage()
  expect(parseExcludeHeader(`${blanks('\t')}, b \t`)).toEqual([blanks('\t'), 'b'])
  const rules = takeSteps(rulesOfFile(`${blanks(' ')}\nb  \nc\\  \n`))
  const matches = (name: string) => rules && takeSteps(rules(name, false))
  expect(matches('b')).toBe(true)
  expect(matches('c ')).toBe(true)
  expect(matches('c')).toBeUndefined()
  const { user, system } = process.cpuUsage(begun)
  // Each took 5 s and more with an expression that tries every run of blanks.
  expect((user + system) / 1000).toBeLessThan(1000)
})
