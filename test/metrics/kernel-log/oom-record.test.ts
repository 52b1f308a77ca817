import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parseOomKill } from '../../../src/metrics/kernel-log/oom-record.ts'

const killed = (name: string) => `Killed process 4711 (${name}) total-vm:2048kB, anon-rss:1kB, UID:0 oom_score_adj:0`

test.each([
  ['of the machine', `3,9,1,-;Out of memory: ${killed('python3')}\n`, { seq: 9, process: 'python3', pid: 4711 }],
  [
    'of who allocated',
    `3,9,1,-;Out of memory (oom_kill_allocating_task): ${killed('a')}\n`,
    { seq: 9, process: 'a', pid: 4711 },
  ],
  ['of a cgroup', `3,9,1,-;Memory cgroup out of memory: ${killed('tail')}\n`, { seq: 9, process: 'tail', pid: 4711 }],
  [
    'with the calling thread',
    `3,9,1,-,caller=T12;Out of memory: ${killed('a')}\n`,
    { seq: 9, process: 'a', pid: 4711 },
  ],
  ['with brackets in the name', `3,9,1,-;Out of memory: ${killed('a) (b')}\n`, { seq: 9, process: 'a) (b', pid: 4711 }],
  [
    'named like the text',
    `3,9,1,-;Out of memory: ${killed(') total-vm:')}\n`,
    { seq: 9, process: ') total-vm:', pid: 4711 },
  ],
  ['without a name', `3,9,1,-;Out of memory: Killed process 4711\n`, { seq: 9, process: 'Unknown', pid: undefined }],
  ['with fields behind', `3,9,1,-;Out of memory: ${killed('a')}\n SUBSYSTEM=x\n`, { seq: 9, process: 'a', pid: 4711 }],
  ['of the lowest priority', `7,9,1,-;Out of memory: ${killed('a')}\n`, { seq: 9, process: 'a', pid: 4711 }],
  ['that a process wrote', `11,9,1,-;Out of memory: ${killed('a')}\n`, undefined],
  ['that a process wrote as its own', `8,9,1,-;Out of memory: ${killed('a')}\n`, undefined],
  ['in the middle of a text', `3,9,1,-;evil: Out of memory: ${killed('a')}\n`, undefined],
  ['in a field', `3,9,1,-;usb\n NAME=Out of memory: ${killed('a')}\n`, undefined],
  ['in a line of its own', `3,9,1,-;usb\nOut of memory: ${killed('a')}\n`, undefined],
  ['by another spelling', `3,9,1,-;Out of memory: Kill process 4711 (a) score 1\n`, undefined],
  ['without a header', `Out of memory: ${killed('a')}\n`, undefined],
  ['with a priority that is no number', `x,9,1,-;Out of memory: ${killed('a')}\n`, undefined],
  ['with a priority below zero', `-1,9,1,-;Out of memory: ${killed('a')}\n`, undefined],
])('N18 a record %s', (_, record, expected) => {
  expect(parseOomKill(record)).toEqual(expected)
})

test('N18 a recorded log has its kills, and nothing else', () => {
  const file = new URL('../fixtures/kmsg.txt', import.meta.url)
  const records = readFileSync(file, 'latin1').split(/\n(?! )/)
  expect(records.flatMap((record) => parseOomKill(record) ?? [])).toMatchObject([
    { seq: 1203, process: 'tail' },
    { seq: 1207, process: 'python3' },
  ])
})
