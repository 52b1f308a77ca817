import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type SpawnSpec, spawn } from '../../src/native/index.ts'
import { ended, plainSpec } from './run-process.ts'

const kinds: readonly Partial<SpawnSpec>[] = [
  {},
  {},
  { file: 'no-such-command' },
  { cwd: '/no/such' },
  { args: ['\0'] },
]

async function startMany(count: number): Promise<void> {
  for (let done = 0; done < count; done += 20) {
    const starts = Array.from({ length: 20 }, (_, n) => spawn({ ...plainSpec, ...kinds[n % kinds.length] }))
    await Promise.all(starts.map((start) => start.then(ended, () => undefined)))
  }
}

const listed = (path: string) => readdirSync(path).length
function childrenOf(thread: string): string[] {
  try {
    return readFileSync(`/proc/self/task/${thread}/children`, 'utf8').split(' ').filter(Boolean)
  } catch {
    // The thread has ended since it was listed; another one has its children now.
    return []
  }
}
const children = () => readdirSync('/proc/self/task').flatMap(childrenOf)
const mappings = () => readFileSync('/proc/self/maps', 'utf8').split('\n').length

test('1,000 starts, of which some fail, leave no descriptor, thread, mapping or process behind', async () => {
  await startMany(100)
  const before = {
    fds: listed('/proc/self/fd'),
    threads: listed('/proc/self/task'),
    children: children().length,
    mappings: mappings(),
  }
  await startMany(1000)
  // A thread's last instructions may come after its result.
  await expect.poll(() => listed('/proc/self/task')).toBeLessThanOrEqual(before.threads)
  expect(listed('/proc/self/fd')).toBe(before.fds)
  expect(children()).toHaveLength(before.children)
  expect(mappings()).toBeLessThan(before.mappings + 50)
})
