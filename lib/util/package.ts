// The paths of the package's own files. Each is a literal, so that file tracers (such as @vercel/nft in Next.js) know
// which files a server needs.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { VisionTorchError } from './errors.js'

declare const __webpack_require__: unknown

/** The root of the package or of the repository. */
export function packageDirectory(): string {
  packageManifest()
  return dirname(fileURLToPath(new URL('../../package.json', import.meta.url)))
}

/** The paths of visiontorch.node, and of open-library.node, which opens LibTorch's libraries for it. */
export interface Addons {
  main: string
  openLibrary: string
}

/** The package's addons for this platform, or null if it has none. */
export function prebuiltAddons(): Addons | null {
  packageManifest()
  return prebuilt[`${process.platform}-${process.arch}`]?.() ?? null
}

const prebuilt: { [platform: string]: () => Addons } = {
  'linux-x64': () => ({
    main: fileURLToPath(new URL('../../prebuilds/linux-x64/visiontorch.node', import.meta.url)),
    openLibrary: fileURLToPath(new URL('../../prebuilds/linux-x64/open-library.node', import.meta.url)),
  }),
  // A package for only one platform has no other addons, which webpack could then not bundle.
  'linux-arm64': () => ({
    main: fileURLToPath(
      new URL(/* webpackIgnore: true */ '../../prebuilds/linux-arm64/visiontorch.node', import.meta.url),
    ),
    openLibrary: fileURLToPath(
      new URL(/* webpackIgnore: true */ '../../prebuilds/linux-arm64/open-library.node', import.meta.url),
    ),
  }),
  'darwin-arm64': () => ({
    main: fileURLToPath(
      new URL(/* webpackIgnore: true */ '../../prebuilds/darwin-arm64/visiontorch.node', import.meta.url),
    ),
    openLibrary: fileURLToPath(
      new URL(/* webpackIgnore: true */ '../../prebuilds/darwin-arm64/open-library.node', import.meta.url),
    ),
  }),
}

/** The directory of the package that carries LibTorch for this platform, or null if it is not installed. */
export function runtimePackageDirectory(): string | null {
  packageManifest()
  const require = createRequire(import.meta.url)
  try {
    if (process.platform === 'darwin') return require('@visiontorch/libtorch-darwin-arm64').directory
    if (process.arch === 'arm64') return require('@visiontorch/libtorch-linux-arm64').directory
    return require('@visiontorch/libtorch-linux-x64').directory
  } catch {
    return null
  }
}

/** The list of the official weights, and the names of ImageNet's classes. */
export function weightsFiles(): { manifest: string; classes: string } {
  packageManifest()
  return {
    manifest: fileURLToPath(new URL('../../weights/manifest.json', import.meta.url)),
    classes: fileURLToPath(new URL('../../weights/imagenet_classes.json', import.meta.url)),
  }
}

/** The files of the web page of `visiontorch serve`, which scripts/bundle.ts builds. */
export function pageFiles(): { html: string; css: string; js: string } {
  packageManifest()
  return {
    html: fileURLToPath(new URL('../../dist/serve/page/index.html', import.meta.url)),
    css: fileURLToPath(new URL('../../dist/serve/page/page.css', import.meta.url)),
    js: fileURLToPath(new URL('../../dist/serve/page/page.js', import.meta.url)),
  }
}

/** The content of package.json, read once, so that it is available even when the process has no file descriptors left. */
let known: { version: string } | undefined

/**
 * The content of package.json.
 * @throws VisionTorchError `ERR_ADDON_NOT_FOUND` if a bundler copied this code out of the package.
 */
export function packageManifest(): { version: string } {
  if (known !== undefined) return known
  try {
    // webpack replaces import.meta.url by the path of the source file.
    if (typeof __webpack_require__ !== 'undefined') throw new Error('this is a bundle')
    const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
    if (manifest.name === 'visiontorch') {
      known = manifest
      return manifest
    }
  } catch {
    // The file does not exist, or this is a CommonJS bundle, which has no import.meta.url.
  }
  throw new VisionTorchError(
    'ERR_ADDON_NOT_FOUND',
    "A bundler copied visiontorch's code out of its package, where the addon and LibTorch are. Mark visiontorch as " +
      "external: --external:visiontorch (esbuild), ssr: { external: ['visiontorch'] } (Vite), " +
      "externals: { visiontorch: 'module visiontorch' } (webpack), external: ['visiontorch'] (Rollup), " +
      "serverExternalPackages: ['visiontorch'] (Next.js). The package's docs/bundlers.md shows each configuration.",
  )
}
