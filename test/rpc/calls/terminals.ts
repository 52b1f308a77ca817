import { expect } from 'vitest'

import { bytes, type Calls, first, type Visit } from './visit.ts'

/** A terminal of its own that runs cat, while `use` does something with it; it is closed afterwards. */
async function inTerminal(
  visit: Visit,
  use: (terminal: { selector: { case: 'name'; value: string } }) => Promise<void>,
) {
  const name = `${visit.tag}-terminal`
  const terminal = { selector: { case: 'name' as const, value: name } }
  const { event } = await first((options) => visit.terminals.open({ name, command: 'cat' }, options))
  expect(event.case === 'attached' && event.value.name).toBe(name)
  await use(terminal)
  await visit.terminals.close({ terminal })
}

export const TERMINALS_CALLS: Calls = {
  'terminals.v1.Terminals/Open': (visit) => inTerminal(visit, async () => {}),
  'terminals.v1.Terminals/Attach': (visit) =>
    inTerminal(visit, async (terminal) => {
      const { event } = await first((options) => visit.terminals.attach({ terminal }, options))
      expect(event.case === 'attached' && event.value.size).toMatchObject({ columns: 80, rows: 24 })
    }),
  'terminals.v1.Terminals/List': (visit) =>
    inTerminal(visit, async ({ selector }) => {
      const { terminals } = await visit.terminals.list({})
      expect(terminals.find(({ name }) => name === selector.value)?.command).toBe('cat')
    }),
  'terminals.v1.Terminals/Write': (visit) =>
    inTerminal(visit, async (terminal) => {
      await visit.terminals.write({ terminal, data: bytes('typed\n') })
    }),
  'terminals.v1.Terminals/Resize': (visit) =>
    inTerminal(visit, async (terminal) => {
      for await (const { event } of visit.terminals.attach({ terminal })) {
        if (event.case !== 'attached') continue
        const size = { columns: 90, rows: 30 }
        const answer = await visit.terminals.resize({ terminal, client: event.value.client, size })
        expect(answer.size).toMatchObject(size)
        break
      }
    }),
  'terminals.v1.Terminals/Close': (visit) => inTerminal(visit, async () => {}),
  'terminals.v1.Terminals/Record': (visit) =>
    inTerminal(visit, async (terminal) => {
      const { event } = await first((options) => visit.terminals.record({ terminal }, options))
      expect(event.case === 'line' && JSON.parse(Buffer.from(event.value).toString()).version).toBe(2)
    }),
}
