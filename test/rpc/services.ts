import { globSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { DescMethod, DescService } from '@bufbuild/protobuf'

function isService(value: unknown): value is DescService {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'service'
}

const root = resolve(import.meta.dirname, '../..')
const files = globSync('src/gen/**/*_pb.js', { cwd: root }).sort()
const modules: readonly object[] = await Promise.all(files.map((file) => import(pathToFileURL(`${root}/${file}`).href)))

/** Every service that was generated from the protos, so that none can be forgotten. */
export const SERVICES: readonly DescService[] = modules.flatMap((module) => Object.values(module)).filter(isService)

/** Every method of them. */
export const METHODS: readonly DescMethod[] = SERVICES.flatMap(({ methods }) => methods)

/** `package.Service/Method`. */
export function nameOf({ parent, name }: DescMethod): string {
  return `${parent.typeName}/${name}`
}
