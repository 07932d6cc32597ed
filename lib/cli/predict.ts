import { stat } from 'node:fs/promises'
import { Command } from 'commander'
import { hasImageExtension } from '../data/extensions.js'
import { listFiles } from '../data/walk.js'
import { predictEach } from '../model/predict.js'
import type { Prediction } from '../predict/predict.js'
import { VisionTorchError } from '../util/errors.js'
import { toPath } from '../util/file-name.js'
import { formatShare } from '../util/format.js'
import { printable } from '../util/text.js'
import { interruptSignal } from './interrupt.js'
import { addModelOptions, type ModelOptions, openModel } from './model.js'
import { integer, jsonOption } from './options.js'
import { outputDrained } from './output.js'
import { color, fail, note, print, progress } from './terminal.js'

interface PredictCommandOptions extends ModelOptions {
  topK: number
  batchSize: number
  json?: boolean
}

export const predictCommand = (): Command =>
  addModelOptions(new Command('predict'))
    .description('the most probable classes of images')
    .argument('<image...>', 'image files, folders of images, or - for an image on stdin')
    .option('--top-k <n>', 'how many classes to show for each image', integer(1), 5)
    .option('--batch-size <n>', 'images computed at once, at most', integer(1, 4096), 32)
    .addOption(jsonOption())
    .action(runPredict)

async function runPredict(paths: string[], options: PredictCommandOptions): Promise<void> {
  const { topK, batchSize, json } = options
  const signal = interruptSignal()
  const { files, areAbsent } = await expand(paths, signal)
  // Nothing is downloaded for files that do not exist.
  if (areAbsent && options.checkpoint === undefined && options.model !== undefined) {
    return refuseAll(files, json ? jsonWriter() : textWriter(topK, files))
  }
  using model = await openModel(options, [], signal)
  using bar = progress('predicting', files.length)
  const write = json ? jsonWriter() : textWriter(topK, files)
  let failed = 0
  try {
    const inputs = files.map(file => (file === '-' ? process.stdin : file))
    for await (const { index, predictions, error } of predictEach(model, inputs, {
      topK,
      batchSize,
      allowUntrained: options.allowUntrained === true,
      signal,
    })) {
      const file = files[index]!
      if (error === undefined) write.predictions(file, predictions)
      else {
        failed++
        write.error(file, error)
      }
      if (files.length > 1) bar.update(index + 1)
      await outputDrained(signal)
    }
  } finally {
    write.end()
  }
  if (failed > 0) {
    process.exitCode = 1
    note(`${failed} of ${files.length} images could not be read`)
  }
}

function refuseAll(files: string[], write: ReturnType<typeof textWriter>): void {
  for (const file of files)
    write.error(file, new VisionTorchError('ERR_FILE_NOT_FOUND', `${file}: no such file. Check the path`))
  write.end()
  process.exitCode = 1
}

/** Folders are replaced by the images below them. What does not exist is left to fail in its turn. */
async function expand(
  paths: string[],
  signal: AbortSignal,
): Promise<{ files: string[]; areAbsent: boolean }> {
  const files: string[] = []
  let areAbsent = true
  for (const path of paths) {
    const found = path === '-' ? undefined : await stat(toPath(path)).catch(() => undefined)
    if (path === '-' || found !== undefined) areAbsent = false
    if (!found?.isDirectory()) {
      files.push(path)
      continue
    }
    const before = files.length
    for await (const names of listFiles(path, signal)) files.push(...names.filter(hasImageExtension))
    if (files.length === before) {
      throw new VisionTorchError(
        'ERR_FILE_NOT_FOUND',
        `${path}: expected a folder with images (.jpg, .png, ...), found none in it`,
      )
    }
  }
  return { files, areAbsent }
}

/** The elements of the array as they come, so that memory does not grow with their number. */
function jsonWriter() {
  let before = '['
  const element = (value: object) => {
    print(before + JSON.stringify(value))
    before = ','
  }
  return {
    predictions: (file: string, predictions: Prediction[]) => element({ file, predictions }),
    error: (file: string, { code, message }: VisionTorchError) => element({ file, error: { code, message } }),
    end: () => print(before === '[' ? '[]' : ']'),
  }
}

/** One line for each image if one class is wanted; otherwise a block of lines. */
function textWriter(topK: number, files: readonly string[]) {
  return {
    predictions(file: string, predictions: Prediction[]) {
      const lines = predictions.map(
        ({ label, score }) => `${formatShare(score).padStart(6)}  ${printable(label)}`,
      )
      if (topK === 1) print(`${file}: ${lines[0]!.trimStart()}`)
      else {
        const title = files.length > 1 ? [color.bold(file)] : []
        print([...title, ...lines].join('\n'))
      }
    },
    error: (_file: string, error: VisionTorchError) => fail(error.message),
    end() {},
  }
}
