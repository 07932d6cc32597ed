import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { installLibTorch } from '../libtorch/install.js'
import { cacheDirectory, cachedBuilds, LIBTORCH_VERSION } from '../libtorch/installation.js'
import { locateLibTorch } from '../libtorch/locate.js'
import { unstore } from '../libtorch/store.js'
import { check, invalid } from '../util/is.js'
import { interruptSignal } from './interrupt.js'
import { jsonOption } from './options.js'
import {
  color,
  formatBytes,
  note,
  type Progress,
  print,
  printJson,
  progress,
  table,
  warn,
} from './terminal.js'

/** `visiontorch libtorch install|list|remove` manages builds of LibTorch other than the one that npm installed. */
export const libtorchCommand = (): Command =>
  new Command('libtorch')
    .description('manage builds of LibTorch in the cache, such as those for CUDA')
    .addCommand(installCommand())
    .addCommand(listCommand())
    .addCommand(removeCommand())

const installCommand = (): Command =>
  new Command('install')
    .description('download a build, or resume an interrupted download, and print its directory')
    .argument('<build>', 'cpu, or cu130 (or another CUDA version that PyTorch has a build for)')
    .option(
      '--from <source>',
      "an archive (file or URL) or directory of LibTorch to install instead of PyTorch's download",
    )
    .option('--sha256 <hash>', 'the expected SHA-256 of a downloaded archive')
    .addHelpText(
      'after',
      '\nVISIONTORCH_LIBTORCH_URL sets a mirror of download.pytorch.org/libtorch. HTTPS_PROXY and NO_PROXY apply.',
    )
    .action(async (build: string, { from, sha256 }: { from?: string; sha256?: string }) => {
      let bar: Progress | undefined
      const show = (label: string, done: number, total: number): void => {
        bar ??= progress(label, total, formatBytes)
        bar.update(done)
        if (done < total) return
        bar.stop()
        bar = undefined
      }
      const directory = await installLibTorch(build, {
        from,
        sha256: sha256 === undefined ? undefined : checkHash(sha256),
        onWarning: warn,
        signal: interruptSignal('stopping; the next install resumes from here'),
        onDownload: ({ received, total }) => show('downloading', received, total ?? received),
        onExtract: (done, total) => show('unpacking', done, total),
      }).finally(() => bar?.stop())
      print(directory)
    })

function checkHash(text: string): string {
  if (/^[0-9a-f]{64}$/i.test(text)) return text
  throw invalid('--sha256', '64 hexadecimal digits', text)
}

const listCommand = (): Command =>
  new Command('list')
    .description('list the builds in the cache, and show which one is used')
    .addOption(jsonOption())
    .action(({ json }: { json?: boolean }) => {
      const used = locateLibTorch().found?.directory
      const builds = cachedBuilds().map(name => {
        const path = join(cacheDirectory(), name)
        return { name, path, used: path === used }
      })
      if (json) return printJson(builds)
      if (builds.length === 0) note(`there are no builds in ${cacheDirectory()}`)
      else
        print(
          table(
            ['build', 'directory', ''],
            builds.map(({ name, path, used }) => [name, path, used ? color.green('used') : '']),
          ),
        )
      if (used !== undefined && !builds.some(build => build.used)) note(`used: ${used}`)
    })

const removeCommand = (): Command =>
  new Command('remove')
    .description('delete a build from the cache')
    .argument('<build>', `cu130, or ${LIBTORCH_VERSION}-cu130 with its version`)
    .action(async (build: string) => {
      const name = existsSync(join(cacheDirectory(), `${LIBTORCH_VERSION}-${build}`))
        ? `${LIBTORCH_VERSION}-${build}`
        : build
      await unstore(check.oneOf('build', name, cachedBuilds()))
      note(`removed ${name}`)
    })
