import { existsSync, statSync } from 'node:fs'
import { Command } from 'commander'
import type { DownloadProgress } from '../download/download.js'
import { fetchWeights, weightsPath } from '../weights/cache.js'
import { findWeights, fullName, listWeights, type OfficialWeights } from '../weights/manifest.js'
import { interruptSignal } from './interrupt.js'
import { weightsDirOption } from './model.js'
import { jsonOption } from './options.js'
import {
  color,
  formatBytes,
  formatCount,
  type Progress,
  print,
  printJson,
  progress,
  table,
  warn,
} from './terminal.js'

interface WeightsCommandOptions {
  json?: boolean
  weightsDir?: string
}

/** `visiontorch weights list` and `visiontorch weights pull`. */
export const weightsCommand = (): Command =>
  new Command('weights')
    .description("list torchvision's official checkpoints, or download them into the cache")
    .addCommand(listCommand())
    .addCommand(pullCommand())

const listCommand = (): Command =>
  new Command('list')
    .description(
      'list checkpoints with their size and ImageNet accuracy; * marks those that DEFAULT stands for',
    )
    .argument('[architecture...]', 'only these networks')
    .addOption(weightsDirOption())
    .addOption(jsonOption())
    .action((architectures: string[], { json, weightsDir }: WeightsCommandOptions) => {
      // Throws for an unknown name, and suggests the most similar one.
      const wanted = architectures.map(name => findWeights(name).architecture)
      const shown = listWeights().filter(entry => wanted.length === 0 || wanted.includes(entry.architecture))
      if (json) {
        printJson(shown.map(entry => ({ ...entry, path: existing(entry, weightsDir) })))
        return
      }
      const rows = shown.map(entry => [
        fullName(entry) + (entry.default ? ' *' : ''),
        entry.mebibytes === null ? '-' : formatBytes(entry.mebibytes * 2 ** 20),
        entry.accuracy?.top1.toFixed(3) ?? '-',
        entry.accuracy?.top5.toFixed(3) ?? '-',
        formatCount(entry.parameterCount),
        [
          existing(entry, weightsDir) === null ? '' : color.green('on this machine'),
          entry.license === null ? '' : 'own licence',
        ]
          .filter(Boolean)
          .join(', '),
      ])
      print(table(['weights', 'size', 'acc@1', 'acc@5', 'parameters', ''], rows, 'lrrrrl'))
    })

const existing = (entry: OfficialWeights, weightsDir: string | undefined): string | null => {
  const path = weightsPath(entry, weightsDir)
  return existsSync(path) ? path : null
}

const pullCommand = (): Command =>
  new Command('pull')
    .description('download checkpoints, or resume an interrupted download, and print their paths')
    .argument(
      '<name...>',
      'resnet50 (its DEFAULT), resnet50.IMAGENET1K_V1, a file name, hf:owner/name[@revision], or any http(s) URL',
    )
    .addOption(weightsDirOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      '\nVISIONTORCH_WEIGHTS_URL sets a mirror to download from. HTTPS_PROXY and NO_PROXY apply.',
    )
    .action(async (names: string[], { json, weightsDir }: WeightsCommandOptions) => {
      const wanted = names.map(name => (/^(https?|hf):/i.test(name) ? name : findWeights(name)))
      const signal = interruptSignal('stopping; the next pull resumes from here')
      const pulled: { name: string; path: string; bytes: number }[] = []
      for (const weights of wanted) {
        const name = typeof weights === 'string' ? weights : fullName(weights)
        const path = await pull(name, weights, weightsDir, signal)
        pulled.push({ name, path, bytes: statSync(path).size })
        if (!json) print(path)
      }
      if (json) printJson(pulled)
    })

async function pull(
  name: string,
  weights: OfficialWeights | string,
  weightsDir: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  let bar: Progress | undefined
  const onProgress = ({ received, total }: DownloadProgress): void => {
    const mebibytes = typeof weights === 'string' ? null : weights.mebibytes
    const expected = total ?? (mebibytes === null ? received : mebibytes * 2 ** 20)
    bar ??= progress(name, expected, formatBytes)
    bar.update(received)
  }
  try {
    return await fetchWeights(weights, { verify: true, weightsDir, signal, onProgress, onWarning: warn })
  } finally {
    bar?.stop()
  }
}
