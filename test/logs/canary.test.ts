import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { needsNamespace } from '../_util/namespace.ts'
import { createCanaries } from './canaries.ts'

const ownNetwork = fileURLToPath(new URL('../ports/network-of-its-own', import.meta.url))
const scenario = fileURLToPath(new URL('canary-scenario.ts', import.meta.url))
/** Its certificates are no certificates; whatever else runs here is to trust the machine's. */
const ownCertificates = `own=$(mktemp -d)
for directory in /etc/ssl/certs /usr/local/share/ca-certificates; do
  mkdir -p "$own$directory" && cp -a "$directory/." "$own$directory" && mount --bind "$own$directory" "$directory" || exit
done
exec "$@"`

test('G33 no line reports a payload, a variable, input, a token or a signature, whatever goes wrong', {
  timeout: 90_000,
}, async (context) => {
  needsNamespace(context)
  const inside = [ownNetwork, '169.254.169.254', process.execPath, scenario]
  const { stdout } = await promisify(execFile)('unshare', ['--mount', 'sh', '-c', ownCertificates, 'sh', ...inside])
  const { canaries, ...outcome } = JSON.parse(stdout)
  expect(outcome).toEqual({
    leaks: [],
    examples: [],
    collected: true,
    markers: [true, true],
    failures: expect.any(Array),
  })
  expect(canaries).toBeGreaterThan(90)
})

test('a secret is found in every form in which a line could report it', () => {
  const canaries = createCanaries()
  const secret = canaries.plant('here')
  const within = Buffer.from(`ab${secret}yz`)
  const forms = [
    secret,
    encodeURIComponent(secret),
    within.toString('hex'),
    within.toString('base64'),
    within.toString('base64url'),
  ]
  for (const form of forms) expect(canaries.foundIn(`{"field":"${form}"}`)).toEqual(['here'])
  expect(canaries.foundIn('{"field":"canary"}')).toEqual([])
})
