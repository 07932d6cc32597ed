import { existsSync, statSync } from 'node:fs'
import { Command } from 'commander'
import type { DownloadProgress } from '../download/download.js'
import { fetchWeights, weightsPath } from '../weights/cache.js'
import { findWeights, fullName, listWeights, type OfficialWeights } from '../weights/manifest.js'
import { interruptSignal } from './interrupt.js'
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

/** `visiontorch weights list` and `visiontorch weights pull`. */
export const weightsCommand = (): Command =>
  new Command('weights')
    .description("torchvision's official checkpoints: list them, download them into the cache")
    .addCommand(listCommand())
    .addCommand(pullCommand())

const listCommand = (): Command =>
  new Command('list')
    .description('size and ImageNet accuracy of each; * marks those that DEFAULT means')
    .argument('[architecture...]', 'only these networks')
    .addOption(jsonOption())
    .action((architectures: string[], { json }: { json?: boolean }) => {
      // An unknown name is refused, with the nearest.
      const wanted = architectures.map(name => findWeights(name).architecture)
      const shown = listWeights().filter(entry => wanted.length === 0 || wanted.includes(entry.architecture))
      if (json) {
        printJson(shown.map(entry => ({ ...entry, path: existing(entry) })))
        return
      }
      const rows = shown.map(entry => [
        fullName(entry) + (entry.default ? ' *' : ''),
        formatBytes(entry.mebibytes * 2 ** 20),
        entry.accuracy?.top1.toFixed(3) ?? '-',
        entry.accuracy?.top5.toFixed(3) ?? '-',
        formatCount(entry.parameterCount),
        existing(entry) === null ? '' : color.green('in the cache'),
      ])
      print(table(['weights', 'size', 'acc@1', 'acc@5', 'parameters', ''], rows, 'lrrrrl'))
    })

const existing = (entry: OfficialWeights): string | null => {
  const path = weightsPath(entry)
  return existsSync(path) ? path : null
}

const pullCommand = (): Command =>
  new Command('pull')
    .description('download checkpoints, or resume an interrupted download; prints their paths')
    .argument(
      '<name...>',
      'resnet50 (its DEFAULT), resnet50.IMAGENET1K_V1, a file name, or any http(s) address',
    )
    .addOption(jsonOption())
    .addHelpText(
      'after',
      '\nVISIONTORCH_WEIGHTS_URL names a mirror to download from; HTTPS_PROXY and NO_PROXY are honoured.',
    )
    .action(async (names: string[], { json }: { json?: boolean }) => {
      const wanted = names.map(name => (/^https?:/.test(name) ? name : findWeights(name)))
      const signal = interruptSignal('stopping; the next pull resumes from here')
      const pulled: { name: string; path: string; bytes: number }[] = []
      for (const weights of wanted) {
        const name = typeof weights === 'string' ? weights : fullName(weights)
        const path = await pull(name, weights, signal)
        pulled.push({ name, path, bytes: statSync(path).size })
        if (!json) print(path)
      }
      if (json) printJson(pulled)
    })

async function pull(name: string, weights: OfficialWeights | string, signal: AbortSignal): Promise<string> {
  let bar: Progress | undefined
  const onProgress = ({ received, total }: DownloadProgress): void => {
    const expected = total ?? (typeof weights === 'string' ? received : weights.mebibytes * 2 ** 20)
    bar ??= progress(name, expected, formatBytes)
    bar.update(received)
  }
  try {
    return await fetchWeights(weights, { verify: true, signal, onProgress, onWarning: warn })
  } finally {
    bar?.stop()
  }
}
