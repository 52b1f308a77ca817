import { chmod, copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** What is different in a variant of this daemon. */
interface Difference {
  readonly version?: string
  readonly stateVersion?: number
  /** Put in front of the program, which it may end. */
  readonly banner?: string
}

/** Builds a variant of this daemon in a directory as `envd ctl upgrade` takes it. The tests' user owns it. */
export async function buildVariant(directory: string, { version, stateVersion, banner = '' }: Difference) {
  await build({
    entryPoints: [join(root, 'src/main.ts')],
    outfile: join(directory, 'envd.cjs'),
    ...{ bundle: true, platform: 'node', format: 'cjs', target: 'node24', minifySyntax: true, logLevel: 'warning' },
    define: { 'import.meta.url': '__moduleUrl', ENVD_COMMIT: '"variant"' },
    banner: { js: `const __moduleUrl=require('node:url').pathToFileURL(__filename).href;${banner}` },
    plugins: [
      {
        name: 'variant',
        setup: ({ onLoad }) => {
          onLoad({ filter: /src\/version\.ts$/ }, async ({ path }) => ({
            contents: (await readFile(path, 'utf8'))
              .replace(/VERSION = '[\d.]+'/, (text) => (version === undefined ? text : `VERSION = '${version}'`))
              .replace(/STATE_VERSION = \d+/, (text) =>
                stateVersion === undefined ? text : `STATE_VERSION = ${stateVersion}`,
              ),
            loader: 'ts',
          }))
        },
      },
    ],
  })
  await copyFile(join(root, 'dist/envd.node'), join(directory, 'envd.node'))
  await writeProgram(directory, `exec ${process.execPath} ${join(directory, 'envd.cjs')} "$@"`)
}

/** A bundle whose program is a shell script. */
export async function writeProgram(directory: string, script: string): Promise<void> {
  await writeFile(join(directory, 'envd'), `#!/bin/sh\n${script}\n`)
  await chmod(join(directory, 'envd'), 0o755)
}

/** The program of this checkout, for scripts. */
export const LAUNCHER = join(root, 'scripts/envd')
