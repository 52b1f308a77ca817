import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Command, Invocation } from './command.ts'
import { FAILED } from './exit-code.ts'
import { Failure } from './failure.ts'
import { repeated } from './reopened.ts'

/** What `GET /upgrade/status` answers. */
interface Report {
  readonly version: string
  readonly commit: string
  readonly state: 'none' | 'under_way' | 'upgraded' | 'went_back'
  readonly pauseMs?: number
  readonly reason?: string
}

/** A new daemon is verified, loaded and tried, each with a limit of its own. */
const MOST_MS = 120_000

const ASK_AGAIN_MS = 100

/** Has another daemon take over from the one that runs. */
export const upgrade: Command = {
  name: 'upgrade',
  usage: '[OPTION]... [DIR|TARBALL]',
  summary: 'exchange the daemon for the bundle in a directory of the sandbox, or in a tar.gz; without: what came of it',
  words: [0, 1],
  options: { again: { type: 'boolean', help: 'start the program of the daemon itself once more' } },
  run: async ({ sandbox, words: [source], flag, json, write }) => {
    if (source !== undefined || flag('again')) await ask(sandbox, source)
    const report = await outcome(sandbox)
    await write(json ? `${JSON.stringify(report)}\n` : `${textOf(report)}\n`)
    return report.state === 'went_back' ? FAILED : 0
  },
}

/** Requests wait while no daemon takes any. */
async function outcome(sandbox: Invocation['sandbox']): Promise<Report> {
  for (;;) {
    const report = await repeated(() => sandbox.getJson<Report>('/upgrade/status'))
    if (report.state !== 'under_way') return report
    await delay(ASK_AGAIN_MS)
  }
}

async function ask(sandbox: Invocation['sandbox'], source: string | undefined): Promise<void> {
  const directory = source !== undefined && (await isDirectory(source))
  const bundle = directory ? resolve(source) : 'body'
  const body = source === undefined || directory ? undefined : await readFile(source)
  try {
    await sandbox.postBody('/upgrade', { 'x-envd-upgrade-bundle': encodeURI(bundle) }, body, MOST_MS)
  } catch (error) {
    // Success has no answer.
    if (!(error instanceof Failure && error.code === 'lost')) throw error
  }
}

async function isDirectory(path: string): Promise<boolean> {
  const found = await stat(path).catch((error: Error) => {
    throw new Failure('usage', error.message)
  })
  return found.isDirectory()
}

function textOf({ version, commit, state, pauseMs, reason }: Report): string {
  const own = `${version} (${commit.slice(0, 12)})`
  if (state === 'upgraded') return `upgraded to ${own}, in ${pauseMs} ms`
  if (state === 'went_back') return `not upgraded: ${reason}; ${own} goes on after ${pauseMs} ms`
  return `${own} runs, and was not upgraded`
}
