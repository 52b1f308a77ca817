import { expect, test } from 'vitest'
import { createTrustedNames } from '../../../src/http/access/trusted-names.ts'
import { originOf } from '../../../src/lib/web-origin.ts'

const names = createTrustedNames({
  origins: ['https://App.example:443', 'tauri://localhost'],
  hosts: ['box.example', '*.below.example'],
})

const HOSTS: [string, boolean][] = [
  ['localhost', true],
  ['LocalHost:49983', true],
  ['localhost.', true],
  ['a.b.localhost:1', true],
  ['127.0.0.1:49983', true],
  ['127.1', true],
  ['192.168.1.7', true],
  ['[::1]:49983', true],
  ['[fe80::1%25eth0]:49983', true],
  ['[::ffff:127.0.0.1]', true],
  ['sandbox', true],
  ['my_container:49983', true],
  ['box.example', true],
  ['BOX.example.:80', true],
  ['x.y.below.example', true],
  ['', false],
  ['evil.example', false],
  ['evil.example:49983', false],
  ['evil.example.', false],
  ['single.', false],
  ['localhost.evil.example', false],
  ['127.0.0.1.evil.example', false],
  ['127.0.0.1:1@evil.example', false],
  ['evil.example@localhost', false],
  ['localhost/evil.example', false],
  ['localhost, evil.example', false],
  ['notlocalhost.example', false],
  ['below.example', false],
  ['xbelow.example', false],
  ['sub.box.example', false],
  ['localhost:99999', false],
  ['[::1', false],
  ['.', false],
]

test.each(HOSTS)('the host %j is trusted: %s', (host, trusted) => {
  expect(names.trustsHost(host)).toBe(trusted)
})

const ORIGINS: [string, boolean][] = [
  ['http://localhost', true],
  ['HTTP://LOCALHOST:3000', true],
  ['https://localhost:8443', true],
  ['http://localhost.:3000', true],
  ['http://app.localhost:3000', true],
  ['http://127.0.0.1:5173', true],
  ['http://127.8.9.10', true],
  ['http://[::1]:5173', true],
  ['http://[0:0:0:0:0:0:0:1]', true],
  ['http://[::ffff:127.0.0.1]', true],
  ['https://app.example', true],
  ['https://APP.example:443', true],
  ['tauri://localhost', true],
  ['null', false],
  ['', false],
  ['http://app.example', false],
  ['https://app.example:8443', false],
  ['https://app.example.evil.example', false],
  ['https://evil.example', false],
  ['http://localhost.evil.example', false],
  ['http://127.0.0.1.evil.example', false],
  ['http://localhost@evil.example', false],
  ['http://evil.example#localhost', false],
  ['http://evil.example http://localhost', false],
  ['http://localhost, https://evil.example', false],
  ['http://192.168.1.7', false],
  ['http://sandbox', false],
  ['file://', false],
  ['file://localhost', false],
  ['chrome-extension://localhost', false],
  ['other://localhost', false],
  ['localhost', false],
]

test.each(ORIGINS)('the origin %j is trusted: %s', (origin, trusted) => {
  expect(names.trustsOrigin(originOf(origin))).toBe(trusted)
})
