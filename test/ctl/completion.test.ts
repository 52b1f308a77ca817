import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { ctl, LAUNCHER } from './ctl.ts'

const daemon = sharedDaemon()

/** What bash offers for the last of these words. */
async function offered(...words: string[]): Promise<string[]> {
  const script = `source <(${LAUNCHER} ctl completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _envd; printf '%s\\n' "\${COMPREPLY[@]}"`
  const env = { PATH: process.env['PATH'] ?? '', ENVD_URL: daemon.url }
  const text = execFileSync('bash', ['-c', script, 'bash', LAUNCHER, ...words], { encoding: 'utf8', env })
  return text.split('\n').filter((line) => line !== '')
}

test('bash completes commands, options and processes', async () => {
  expect(await offered('c')).toEqual(['ctl'])
  expect(await offered('ctl', 'p')).toEqual(['ps', 'ports'])
  expect(await offered('ctl', 'run', '--mem')).toEqual(['--memory-max'])
  expect(await offered('ctl', 'completion', '')).toEqual(expect.arrayContaining(['bash', 'zsh']))
  const { stdout } = await ctl(daemon.url, ['run', '-d', 'sleep', '1000'])
  const pid = stdout.toString().trim()
  expect(await offered('ctl', 'wait', pid)).toEqual([pid])
  await ctl(daemon.url, ['kill', pid])
})

test('zsh takes its script', async (context) => {
  try {
    execFileSync('zsh', ['-c', 'true'])
  } catch {
    context.skip('needs zsh')
  }
  const script = `autoload -Uz compinit && compinit -u -D; compadd() { shift; print -l -- "$@" }; source <(${LAUNCHER} ctl completion zsh); words=(envd ctl p); CURRENT=3; _envd; words=(envd ctl run --m); CURRENT=4; _envd`
  const text = execFileSync('zsh', ['-f', '-c', script], { encoding: 'utf8' })
  expect(text.split('\n')).toEqual(expect.arrayContaining(['run', 'ps', 'attach', '--memory-max', '-i']))
})

test('another shell is refused', async () => {
  expect(await ctl(daemon.url, ['completion', 'fish'])).toMatchObject({ code: 2 })
})
