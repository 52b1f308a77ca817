import { expect, test } from 'vitest'
import { OPTIONS } from './fake-mmds.ts'
import { makeMmdsRig } from './rig.ts'

const IDS = { E2B_SANDBOX_ID: 'i-sandbox', E2B_TEMPLATE_ID: 'template' }

test('G11 G12 A12 A14 what is found at start goes into variables and files, and to the log exporter', async () => {
  await using rig = await makeMmdsRig()
  expect(rig.fake.requests).toEqual([])
  rig.mmds.start()
  await expect.poll(() => rig.file('.E2B_TEMPLATE_ID')).toBe('template')
  expect(await rig.file('.E2B_SANDBOX_ID')).toBe('i-sandbox')
  expect(Object.fromEntries(rig.env.all())).toEqual(IDS)
  expect(rig.told).toMatchObject([OPTIONS])
})

test('F21 after a refresh the ids are those of now, in variables and files', async () => {
  await using rig = await makeMmdsRig()
  await rig.mmds.refresh()
  // The budget may run out on a busy machine; then they follow.
  await expect.poll(() => rig.file('.E2B_TEMPLATE_ID')).toBe('template')
  rig.fake.options = { ...OPTIONS, instanceID: 'i-resumed' }
  await rig.mmds.refresh()
  await expect.poll(() => rig.file('.E2B_SANDBOX_ID')).toBe('i-resumed')
  expect(rig.env.all().get('E2B_SANDBOX_ID')).toBe('i-resumed')
  expect(rig.complaints).toEqual([])
})

test('F21 a refresh does not wait for a service that is silent; the ids follow when it answers', async () => {
  await using rig = await makeMmdsRig({ pace: { quick: 10, slow: 50, patience: 60_000 } })
  rig.fake.conduct = 'silent'
  await rig.mmds.refresh()
  expect(rig.env.all().size).toBe(0)
  rig.fake.conduct = 'answer'
  await expect.poll(() => rig.file('.E2B_SANDBOX_ID')).toBe('i-sandbox')
})

test('F21 a look-up that was made needs no second one', async () => {
  await using rig = await makeMmdsRig()
  const found = await rig.mmds.lookUp()
  expect(found).toMatchObject(OPTIONS)
  expect(rig.env.all().size).toBe(0)
  rig.fake.conduct = 'cut'
  await found?.adopt()
  expect(Object.fromEntries(rig.env.all())).toEqual(IDS)
  expect(rig.fake.requests).toHaveLength(2)
})

test('G13 a refresh that is given up is told on standard error, in the manner of the journal', async () => {
  await using rig = await makeMmdsRig({ pace: { quick: 5, slow: 1_000, patience: 50 } })
  rig.fake.conduct = 'cut'
  await rig.mmds.refresh()
  await expect.poll(() => rig.complaints).toEqual([expect.stringMatching(/^<4>\S/)])
  expect(rig.complaints.join()).not.toContain('\n')
})

test('G11 a microVM without the service is told once in the log, as a warning', async () => {
  await using rig = await makeMmdsRig({ pace: { quick: 5, slow: 5, patience: 50 } })
  rig.fake.conduct = 'cut'
  rig.mmds.start()
  await expect.poll(() => rig.lines.length).toBe(1)
  const asked = rig.fake.requests.length
  await expect.poll(() => rig.fake.requests.length).toBeGreaterThan(asked + 5)
  expect(rig.lines).toMatchObject([{ level: 'warn' }])
  expect(rig.complaints).toEqual([])
})

test('a closed view asks no more', async () => {
  await using rig = await makeMmdsRig()
  rig.fake.conduct = 'silent'
  rig.mmds.start()
  await expect.poll(() => rig.fake.requests.length).toBe(1)
  const looking = rig.mmds.lookUp()
  rig.mmds.close()
  rig.mmds.close()
  expect(await looking).toBeUndefined()
  await expect.poll(() => rig.fake.connections()).toBe(0)
})
