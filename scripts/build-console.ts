/**
 * build-console.ts TARGET: builds the page of src/console into the directory TARGET, with a compressed sibling (`.br`,
 * `.gz`) beside each file that is worth one, and into TARGET.packages.json the directories of the packages in it.
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { build } from 'vite'

/** What is smaller fits into one packet anyway. */
const MIN_COMPRESSED = 1024

const [target = ''] = process.argv.slice(2)
const outDir = resolve(target)
const built = await build({
  root: 'src/console',
  // Relative addresses: the page works below any path that a proxy serves it at.
  base: './',
  configFile: false,
  logLevel: 'warn',
  // All that it needs of tsconfig.json, which is not there in the build of the image.
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact', tsconfigRaw: '{}' },
  build: {
    outDir,
    emptyOutDir: true,
    target: 'es2022',
    // The page may load nothing by `data:` addresses but images.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1000,
  },
})
const modules = [built].flat().flatMap((result) => ('output' in result ? result.output : []))
const packages = modules
  .flatMap((output) => (output.type === 'chunk' ? output.moduleIds : []))
  .flatMap((id) => /node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0] ?? [])
writeFileSync(`${outDir}.packages.json`, JSON.stringify([...new Set(packages)].sort()))
for (const name of globSync('**/*.{html,js,css,svg}', { cwd: outDir })) {
  const path = join(outDir, name)
  const content = readFileSync(path)
  if (content.length < MIN_COMPRESSED) continue
  writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }))
  writeFileSync(`${path}.br`, brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }))
}
