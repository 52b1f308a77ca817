import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

/** Prints the megabytes of files in its memory, before and after, then what code and constants that come back do. */
const PROGRAM = `
const { readFileSync } = require('node:fs')
const { releaseProgramPages } = require(process.argv[1])
const resident = () => Number(/^RssFile:\\s+(\\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024
require('node:http2'), require('node:crypto').createHash('sha256').update('x').digest('hex')
const before = resident()
for (let i = 0; i < 3; i++) releaseProgramPages()
const after = resident()
const digest = require('node:crypto').createHash('sha256').update('x').digest('hex').slice(0, 8)
console.log(JSON.stringify([before, after, digest, new Intl.NumberFormat('de').format(1234.5), 'ß'.toUpperCase()]))
`

test('what is in memory of the program file leaves it, and comes back when it is used', async () => {
  const addon = new URL('../../dist/envd.node', import.meta.url).pathname
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', PROGRAM, addon])
  const [before, after, ...results] = JSON.parse(stdout)
  expect(before).toBeGreaterThan(30)
  expect(after).toBeLessThan(before / 2)
  expect(results).toEqual(['2d711642', '1.234,5', 'SS'])
})
