// Bundles libraries that only one folder of lib/ needs, and that are too large for the user's node_modules, into that
// folder's dist/FOLDER/libraries.js, which has a tenth of their packages' size or less. Their licences go into the same
// folder.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

await bundle('data')
await bundle('serve')
await bundle('export', protobufLicences())
rmSync('dist/export/proto', { recursive: true, force: true }) // part of the bundle
await bundlePage()

/** `others`: licences that are in none of the packages' `LICENSE` files. */
async function bundle(folder: string, others: readonly string[] = []): Promise<void> {
  const { metafile } = await build({
    entryPoints: [`lib/${folder}/libraries.ts`],
    outfile: `dist/${folder}/libraries.js`,
    bundle: true,
    minify: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    metafile: true,
    logLevel: 'warning',
    // For CommonJS libraries, which require Node's modules.
    banner: {
      js: "import { createRequire } from 'node:module';const require = createRequire(import.meta.url);",
    },
  })
  const packages = new Set(
    Object.keys(metafile.inputs).flatMap(
      path => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? [],
    ),
  )
  const licences = [...packages].sort().map(licenceOf)
  writeFileSync(
    `dist/${folder}/libraries.LICENSES.txt`,
    [...licences, ...others].join(`\n${'-'.repeat(80)}\n\n`),
  )
}

/** Bundles the page of `visiontorch serve` for the browser. */
async function bundlePage(): Promise<void> {
  await build({
    entryPoints: ['lib/serve/page/index.html', 'lib/serve/page/page.css', 'lib/serve/page/page.ts'],
    outdir: 'dist/serve/page',
    bundle: true,
    loader: { '.html': 'copy' },
    minify: true,
    format: 'esm',
    target: 'es2022',
    logLevel: 'warning',
  })
}

function licenceOf(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const file = readdirSync(folder).find(name => /^(licence|license)/i.test(name))
  const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8')
  return `${name} ${version} (${license})\n\n${text.trim()}\n`
}

/** The package has no file with its licences. The BSD licence is at the top of the files under it, and ONNX's is Apache's, too. */
function protobufLicences(): string[] {
  const varint = readFileSync('node_modules/@bufbuild/protobuf/dist/esm/wire/varint.js', 'utf8')
  const google = varint.slice(0, varint.search(/^(?!\/\/)/m)).replaceAll(/^\/\/ ?/gm, '')
  const apache = readFileSync('lib/export/proto/LICENSE', 'utf8')
  const of =
    '@bufbuild/protobuf, Copyright 2021-2026 Buf Technologies, Inc., and onnx.proto, Copyright (c) ONNX'
  return [`Part of @bufbuild/protobuf\n\n${google}`, `${of} Project Contributors\n\n${apache}`]
}
