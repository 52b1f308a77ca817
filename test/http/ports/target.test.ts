import type { IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { portTarget } from '../../../src/http/ports/target.ts'

/** Of a request only what is looked at. */
function targetOf(url: string, headers: Record<string, string> = {}) {
  return portTarget({ method: 'GET', url, headers } as unknown as IncomingMessage, 4000)
}

test('a path below /ports/N/ is sent on without its beginning, one below /absports/N/ as it is', () => {
  expect(targetOf('/ports/8080/a/b?c=d')).toEqual({
    port: 8080,
    path: '/a/b?c=d',
    prefix: '/ports/8080',
    home: '/ports/8080',
    byPath: true,
  })
  expect(targetOf('/ports/8080')).toEqual({
    port: 8080,
    path: '/',
    prefix: '/ports/8080',
    home: '/ports/8080',
    byPath: true,
  })
  expect(targetOf('/ports/8080?x')).toEqual({
    port: 8080,
    path: '/?x',
    prefix: '/ports/8080',
    home: '/ports/8080',
    byPath: true,
  })
  expect(targetOf('/absports/1/a%2f')).toEqual({
    port: 1,
    path: '/absports/1/a%2f',
    prefix: '',
    home: '/absports/1',
    byPath: true,
  })
  expect(targetOf('http://host/ports/8080/a')).toEqual({
    port: 8080,
    path: '/a',
    prefix: '/ports/8080',
    home: '/ports/8080',
    byPath: true,
  })
})

test('what is no port is for the daemon', () => {
  for (const url of [
    '/',
    '/ports/',
    '/ports/0/',
    '/ports/08/',
    '/ports/65536/',
    '/ports/8080a',
    '/x/ports/1/',
    '/portss/1/',
  ])
    expect(targetOf(url), url).toBe('daemon')
})

test('the header names a port, or the daemon by its own port or the usual one', () => {
  const named = (port: string, url = '/execute') => targetOf(url, { 'e2b-sandbox-port': port })
  expect(named('49999')).toEqual({ port: 49999, path: '/execute', prefix: '', home: '', byPath: false })
  expect(named('49983')).toBe('daemon')
  expect(named('4000')).toBe('daemon')
  for (const port of ['', '0', '70000', '80, 81', 'http', '-1', '8e1']) expect(named(port), port).toBe('invalid')
  expect(named('49999', '/ports/80/x')).toMatchObject({ port: 80 })
})
