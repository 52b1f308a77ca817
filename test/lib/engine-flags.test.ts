import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const flags = fileURLToPath(new URL('../../src/lib/engine-flags.ts', import.meta.url))

/** Keeps 50,000 objects more in each turn of the event loop, until there are a million. */
const FLOOD = `
  import { markInPieces, setEngineFlags } from ${JSON.stringify(flags)}
  setEngineFlags()
  markInPieces(Number(process.argv[1]))
  const kept = []
  const timer = setInterval(() => {
    for (let i = 0; i < 50_000; i++) kept.push({ i })
    if (kept.length >= 1_000_000) clearInterval(timer)
  }, 10)
`

test('a flood in the first moments has the heap marked in pieces, before these are over', () => {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--trace-gc', '--max-semi-space-size=2', '--input-type=module', '-e', FLOOD, '600000'],
    { encoding: 'utf8' },
  )
  expect(stderr).toBe('')
  expect(stdout).toMatch(/Mark-Compact .* steps since start of marking/)
})

/** Loads a module of Node that was not loaded before, after the policies are set. */
const LATE = `
  import { createRequire } from 'node:module'
  import { setEngineFlags, withNodesCode } from ${JSON.stringify(flags)}
  const require = createRequire(import.meta.url)
  const builtins = require('internal/test/binding').internalBinding('builtins')
  const compiled = () => [...builtins.getCacheUsage().compiledWithoutCache]
  setEngineFlags()
  withNodesCode(() => require('node:http2'))
  const within = compiled()
  require('node:repl')
  console.log(JSON.stringify({ within, outside: compiled().includes('repl') }))
`

test('what Node has compiled of its modules is taken, though the policies are set', () => {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--expose-internals', '--no-warnings', '--input-type=module', '-e', LATE],
    { encoding: 'utf8' },
  )
  expect(stderr).toBe('')
  expect(JSON.parse(stdout)).toEqual({ within: [], outside: true })
})
