// Bundles the libraries that only the server needs into dist/serve/libraries.js: a tenth of what their packages would take
// in the user's node_modules. Their licences go beside it.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

const { metafile } = await build({
  entryPoints: ['lib/serve/libraries.ts'],
  outfile: 'dist/serve/libraries.js',
  bundle: true,
  minify: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  metafile: true,
  logLevel: 'warning',
  // For the libraries that are CommonJS and require Node's modules.
  banner: {
    js: "import { createRequire } from 'node:module';const require = createRequire(import.meta.url);",
  },
})

const packages = new Set(
  Object.keys(metafile.inputs).flatMap(
    path => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? [],
  ),
)
const licences = [...packages].sort().map(folder => {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const file = readdirSync(folder).find(name => /^licen[cs]e/i.test(name))
  const text =
    file !== undefined && existsSync(join(folder, file)) ? readFileSync(join(folder, file), 'utf8') : ''
  return `${name} ${version} (${license})\n\n${text.trim()}\n`
})
writeFileSync('dist/serve/libraries.LICENSES.txt', licences.join(`\n${'-'.repeat(80)}\n\n`))
