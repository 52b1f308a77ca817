import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf } from '../errors.ts'
import type { Property } from './properties.ts'

/**
 * The controllers that the properties belong to, and those that limits of single commands may need
 * (`limited-group.ts`).
 */
const CONTROLLERS = ['cpu', 'io', 'memory', 'pids']

/** Errnos of a file that is not there, for lack of its controller as a rule, or that others decide about. */
const LEFT_OUT: readonly (string | undefined)[] = ['ENOENT', 'EACCES', 'EPERM']

/**
 * Asks for the controllers in the cgroups below `root`, where they are not there already. Never rejects: a controller
 * may belong to version 1, and a cgroup with processes of its own passes none on (cgroups(7)); the properties of that
 * controller are missing then.
 */
export async function enableControllers(root: string): Promise<void> {
  const [available, enabled] = await Promise.all([
    words(root, 'cgroup.controllers'),
    words(root, 'cgroup.subtree_control'),
  ])
  for (const name of CONTROLLERS) {
    if (!available.includes(name) || enabled.includes(name)) continue
    // One at a time: of several the kernel enables all or none.
    await writeProperty(root, ['cgroup.subtree_control', `+${name}`]).catch(() => {})
  }
}

/** The words of a file of a cgroup, as the names of controllers; none where it cannot be read. Never rejects. */
export async function words(directory: string, file: string): Promise<string[]> {
  const text = await readFile(join(directory, file), 'latin1').catch(() => '')
  return text.split(/\s+/).filter((word) => word !== '')
}

/**
 * Makes a cgroup, or takes one that is there, and sets its properties. Returns the files that are missing or that may
 * not be written. Rejects with the errno of anything else.
 */
export async function makeGroup(directory: string, properties: readonly Property[]): Promise<string[]> {
  await mkdir(directory).catch((error) => {
    if (errnoOf(error) !== 'EEXIST') throw error
  })
  const outcomes = await Promise.all(properties.map((property) => setProperty(directory, property)))
  return properties.flatMap(([file], index) => (outcomes[index] === 'left out' ? [file] : []))
}

async function setProperty(directory: string, property: Property): Promise<'set' | 'left out'> {
  try {
    await writeProperty(directory, property)
    return 'set'
  } catch (error) {
    if (!LEFT_OUT.includes(errnoOf(error))) throw error
    return 'left out'
  }
}

/** Writes a property in one write(2), as the kernel wants it. Rejects with the errno of open(2) or write(2). */
export async function writeProperty(directory: string, [file, value]: Property): Promise<void> {
  // Not to be created: in a cgroup that is EACCES instead of ENOENT.
  await writeFile(join(directory, file), value, { flag: 'r+' })
}
