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
  expect(rig.reported).toMatchObject([OPTIONS])
})

test('F21 after a refresh the ids are those of now, in variables and files', async () => {
  await using rig = await makeMmdsRig()
  await rig.mmds.look().refresh()
  // The budget may run out on a busy machine; then they follow.
  await expect.poll(() => rig.file('.E2B_TEMPLATE_ID')).toBe('template')
  rig.fake.options = { ...OPTIONS, instanceID: 'i-resumed' }
  await rig.mmds.look().refresh()
  await expect.poll(() => rig.file('.E2B_SANDBOX_ID')).toBe('i-resumed')
  expect(rig.env.all().get('E2B_SANDBOX_ID')).toBe('i-resumed')
  expect(rig.complaints).toEqual([])
})

test('F21 a refresh does not wait for a service that is silent; the ids follow when it answers', async () => {
  await using rig = await makeMmdsRig({ pace: { quick: 10, slow: 50, quickFor: 60_000 } })
  rig.fake.conduct = 'silent'
  await rig.mmds.look().refresh()
  expect(rig.env.all().size).toBe(0)
  rig.fake.conduct = 'answer'
  await expect.poll(() => rig.file('.E2B_SANDBOX_ID')).toBe('i-sandbox')
})

test('F7 F21 the hash of the token and the ids come with the same look, and ids are taken over only when that is asked for', async () => {
  await using rig = await makeMmdsRig()
  rig.fake.options = { ...OPTIONS, accessTokenHash: 'abc' }
  const look = rig.mmds.look()
  expect(await look.tokenHash).toBe('abc')
  expect(rig.env.all().size).toBe(0)
  rig.fake.conduct = 'cut'
  await look.refresh()
  expect(Object.fromEntries(rig.env.all())).toEqual(IDS)
  expect(rig.fake.requests).toHaveLength(2)
})

test('G13 a refresh that is given up is reported on standard error, in the manner of the journal', async () => {
  await using rig = await makeMmdsRig({ pace: { quick: 5, slow: 1_000, quickFor: 50 } })
  rig.fake.conduct = 'cut'
  await rig.mmds.look().refresh()
  await expect.poll(() => rig.complaints).toEqual([expect.stringMatching(/^<4>\S/)])
  expect(rig.complaints.join()).not.toContain('\n')
})

test('G11 a microVM without the service is reported once in the log, as a warning', async () => {
  await using rig = await makeMmdsRig({ pace: { quick: 5, slow: 5, quickFor: 50 } })
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
  const { tokenHash } = rig.mmds.look()
  rig.mmds.close()
  rig.mmds.close()
  expect(await tokenHash).toBe('')
  await expect.poll(() => rig.fake.connections()).toBe(0)
})
