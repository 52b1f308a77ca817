import { execFileSync } from 'node:child_process'
import { appendFile, rename, rm, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { needsNamespace } from '../_util/namespace.ts'
import { makeFiles } from './user-files.ts'

test('A41 a user is seen in the very next call, 1,000 times, however the file was changed', async () => {
  await using files = await makeFiles('ann:x:1:1::/a:\n', '')
  const ways: readonly ((text: string, line: string) => Promise<void>)[] = [
    (_, line) => appendFile(files.passwd, line),
    (text, line) => writeFile(files.passwd, text + line),
    async (text, line) => {
      await writeFile(`${files.passwd}+`, text + line)
      await rename(`${files.passwd}+`, files.passwd)
    },
    async (text, line) => {
      await rm(files.passwd)
      await writeFile(files.passwd, text + line)
    },
  ]
  let text = 'ann:x:1:1::/a:\n'
  for (let i = 0; i < 1_000; i++) {
    const line = `u${i}:x:${i}:2::/b:\n`
    await ways[i % ways.length]?.(text, line)
    text = i % 100 === 99 ? '' : text + line
    expect(await files.users.find(`u${i}`)).toMatchObject({ uid: i })
    if (text === '') await writeFile(files.passwd, '')
  }
})

test('A41 a file that is mounted over the other counts, and the other again after it, 20 times', async (context) => {
  needsNamespace(context)
  await using files = await makeFiles('ann:x:1:1::/a:\n', '')
  const other = `${files.passwd}.other`
  await writeFile(other, 'bob:x:2:1::/a:\n')
  for (let i = 0; i < 20; i++) {
    expect(await files.users.find('ann')).toMatchObject({ uid: 1 })
    execFileSync('mount', ['--bind', other, files.passwd])
    expect(await files.users.find('bob')).toMatchObject({ uid: 2 })
    execFileSync('umount', [files.passwd])
  }
})
