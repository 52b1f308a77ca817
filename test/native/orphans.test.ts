import { expect, test } from 'vitest'
import { setChildSubreaper, spawn, waitOrphan } from '../../src/native/index.ts'
import { ended, plainSpec, ready, shell } from './run-process.ts'

// This file has a process of its own, which stays a subreaper.
setChildSubreaper()

test('an orphan is reaped once, and a child of ours is left alone until it was reaped', async () => {
  expect(waitOrphan([])).toBe('none')
  const child = await spawn(plainSpec)
  await ready(child.pidfd)
  expect(waitOrphan([7, child.pid])).toBe('ours')
  expect(waitOrphan([child.pid])).toBe('ours')
  await ended(child)
  expect(waitOrphan([child.pid])).toBe('none')

  const orphan = Number(await shell('sleep 0.1 >/dev/null 2>&1 & echo $!'))
  await expect.poll(() => waitOrphan([])).toBe(orphan)
  expect(waitOrphan([])).toBe('none')
})

test('a child whose start was not reported yet is never taken for an orphan', async () => {
  for (let round = 0; round < 50; round++) {
    let reported = false
    const starting = spawn({ ...plainSpec, file: round % 2 === 0 ? 'true' : 'no-such-command' }).finally(() => {
      reported = true
    })
    // Blocks the event loop on purpose: the child ends meanwhile, but its start cannot be reported.
    const end = performance.now() + 5
    while (performance.now() < end) expect(['none', 'ours']).toContain(waitOrphan([]))
    expect(reported).toBe(false)
    await starting.then(ended, () => undefined)
  }
})

test('a list that holds no pids is refused', () => {
  // The casts smuggle in what the type forbids.
  for (const ours of [undefined, 'x', [Number.NaN], [-1], ['1']] as unknown as number[][]) {
    if (Array.isArray(ours) && waitOrphan([]) === 'none') continue
    expect(() => waitOrphan(ours)).toThrow(TypeError)
  }
})
