import { readdir } from 'node:fs/promises'
import { beforeEach, expect, test } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { browse, needsChromium, startRebound, startSite } from './browser.ts'

beforeEach(needsChromium)

/**
 * Tries everything that a page may send, each leaving a file of its name in `directory`: a command, uploads by script
 * and by a form, a token of the page's own; and reads: by script, by an image and by a script element.
 */
function attack(base: string, directory: string): string {
  return `
const base = ${JSON.stringify(base)}, directory = ${JSON.stringify(directory)}
const outcome = {}
const attempt = async (name, work) => {
  try { outcome[name] = await work() } catch { outcome[name] = 'refused' }
}
const touch = (name) => JSON.stringify({ process: { cmd: '/usr/bin/touch', args: [directory + '/' + name] } })
const frame = (text) => {
  const bytes = new TextEncoder().encode(text)
  const framed = new Uint8Array(bytes.length + 5)
  new DataView(framed.buffer).setUint32(1, bytes.length)
  framed.set(bytes, 5)
  return framed
}
const load = (tag, url) => new Promise((resolve) => {
  const element = document.createElement(tag)
  element.onload = () => resolve('loaded')
  element.onerror = () => resolve('refused')
  element.src = url
  document.body.append(element)
})
const form = (name) => {
  const data = new FormData()
  data.append('file', new Blob(['evil']), name)
  return data
}
await attempt('start', async () => {
  const answer = await fetch(base + '/process.Process/Start', {
    method: 'POST', headers: { 'content-type': 'application/connect+json' }, body: frame(touch('start')) })
  await answer.text()
  return answer.status
})
await attempt('start without preflight', async () => (await fetch(base + '/process.Process/Start', {
  method: 'POST', mode: 'no-cors', body: touch('simple') })).type)
await attempt('upload', async () => (await fetch(base + '/files?path=' + directory + '/upload', {
  method: 'POST', mode: 'no-cors', body: form('upload') })).type)
await attempt('read', async () => (await fetch(base + '/envs')).status)
await attempt('read a file as a script', () => load('script', base + '/files?path=' + directory + '/secret.js'))
await attempt('WebSocket', () => new Promise((resolve) => {
  const socket = new WebSocket(base.replace('http', 'ws') + '/health')
  socket.onopen = () => resolve('open')
  socket.onerror = () => resolve('refused')
}))
await attempt('init', async () => (await fetch(base + '/init', {
  method: 'POST', mode: 'no-cors', body: '{"accessToken":"evil"}' })).type)
await report(outcome)`
}

/** A script that a foreign page must not load. */
async function plantScript({ url }: Daemon, directory: string): Promise<void> {
  const headers = { 'content-type': 'application/octet-stream' }
  const body = 'globalThis.secret = 1'
  expect((await sendWhole(`${url}/files?path=${directory}/secret.js`, { method: 'POST', headers, body })).status).toBe(
    200,
  )
}

const isOpen = async ({ url }: Daemon) => (await sendWhole(`${url}/envs`)).status === 200

/** Opens the attack from a site of another origin; gives what came of it and which files it left. */
async function attackFromElsewhere(args: (origin: string) => readonly string[]) {
  let url = ''
  await using dir = await makeTmpDir()
  await using site = await startSite(() => attack(url, dir.path))
  const origin = `http://evil.example:${site.port}`
  await using daemon = await startDaemon({ args: ['-address', 'localhost', ...args(origin)] })
  url = `http://localhost:${daemon.port}`
  await plantScript(daemon, dir.path)
  const outcome = await browse(origin, site.report)
  return { outcome, files: (await readdir(dir.path)).sort(), open: await isOpen(daemon) }
}

test('a page of another origin can neither act nor read', async () => {
  const { outcome, files, open } = await attackFromElsewhere(() => [])
  expect(outcome).toMatchObject({
    start: 'refused',
    read: 'refused',
    'read a file as a script': 'refused',
    WebSocket: 'refused',
  })
  expect(files).toEqual(['secret.js'])
  expect(open).toBe(true)
})

test('the same page can do everything but open a WebSocket once its origin is allowed', async () => {
  const { outcome, files, open } = await attackFromElsewhere((origin) => ['-allow-origin', origin])
  expect(outcome).toMatchObject({ start: 200, read: 200, 'read a file as a script': 'loaded', WebSocket: 'refused' })
  expect(files).toEqual(['secret.js', 'start', 'upload'])
  expect(open).toBe(false)
})

test('a page whose name was rebound to this machine can neither act nor read', async () => {
  await using daemon = await startDaemon()
  await using dir = await makeTmpDir()
  await plantScript(daemon, dir.path)
  await using site = await startRebound(attack('', dir.path), daemon.port)
  expect(await browse(`http://rebound.example:${site.port}/`, site.report)).toMatchObject({
    start: 403,
    read: 403,
    'read a file as a script': 'refused',
  })
  expect(await readdir(dir.path)).toEqual(['secret.js'])
  expect(await isOpen(daemon)).toBe(true)
})
