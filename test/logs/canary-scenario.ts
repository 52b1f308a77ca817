/**
 * Run in a network of its own, whose loopback interface has the metadata service's address: a daemon as in a microVM
 * that logs everything, and requests with a secret in every place that can hold one. Prints, as JSON, which secrets its
 * lines report.
 */

import { createHash } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { startDaemon } from '../_util/daemon.ts'
import { startFakeMmds } from '../init/mmds/fake-mmds.ts'
import { createCanaries } from './canaries.ts'
import { plantInCommands } from './canary-commands.ts'
import { plantInFiles } from './canary-files.ts'
import { plantInInit } from './canary-init.ts'
import { startCollector } from './collector.ts'

/** Far above what it takes for the last line to be collected. */
const TIMEOUT_MS = 30_000

const canaries = createCanaries()
const { plant } = canaries
await using collector = await startCollector('127.0.0.2')
await using mmds = await startFakeMmds({ host: '169.254.169.254', port: 80 })
const token = plant('access token')
const hash = createHash('sha512').update(token).digest('hex')
mmds.token = plant('token of the metadata service')
mmds.options = {
  instanceID: 'i-sandbox',
  envID: 'template',
  address: collector.address,
  accessTokenHash: canaries.watch('hash of the access token', hash),
}
await using daemon = await startDaemon({
  args: ['-verbose', '-isnotfc=false'],
  env: { OWN: plant('environment of the daemon') },
})
const target = { url: daemon.url, port: daemon.port, token, canaries }
await plantInInit(target)
await plantInCommands(target)
await plantInFiles(target)

const lines = () =>
  daemon
    .stdout()
    .split('\n')
    .filter((line) => line.startsWith('{'))
const due = performance.now() + TIMEOUT_MS
while (collector.posts.length < lines().length && performance.now() < due) await setTimeout(50)
const reported = [daemon.stdout(), daemon.stderr(), ...collector.posts.map(({ text }) => text)]
const marker = '/tmp/file-that-may-be-named'
console.log(
  JSON.stringify({
    leaks: [...new Set(reported.flatMap((text) => canaries.foundIn(text)))],
    examples: reported
      .flatMap((text) => text.split('\n'))
      .filter((line) => canaries.foundIn(line).length > 0)
      .slice(0, 3),
    canaries: canaries.count,
    collected: collector.posts.length === lines().length,
    markers: [daemon.stdout().includes(marker), collector.posts.some(({ text }) => text.includes(marker))],
    failures: collector
      .lines()
      .filter(({ level }) => level === 'error')
      .map(({ message }) => message),
  }),
)
