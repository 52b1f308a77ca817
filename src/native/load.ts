import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const inSource = import.meta.url.endsWith('.ts')
const addonPath = fileURLToPath(new URL(inSource ? '../../dist/envd.node' : './envd.node', import.meta.url))

/** The compiled addon; `Face` says what is used of it. The cast is the one place where the two meet. */
export function loadAddon<Face>(): Face {
  return createRequire(import.meta.url)(addonPath) as Face
}
