import { stat } from 'node:fs/promises'
import { Command } from 'commander'
import { digest } from '../data/digest.js'
import { hasImageExtension } from '../data/extensions.js'
import { inOrder } from '../data/loader.js'
import { listFiles } from '../data/walk.js'
import { checkAgreement } from '../distributed/agreement.js'
import { type Group, withGroup } from '../distributed/group.js'
import { inRounds, ownShare } from '../distributed/rounds.js'
import type { Model } from '../model/model.js'
import { predictEach } from '../model/predict.js'
import type { Device } from '../native/runtime.js'
import type { Prediction, PredictOptions } from '../predict/predict.js'
import { type ErrorCode, VisionTorchError } from '../util/errors.js'
import { toPath } from '../util/file-name.js'
import { formatShare } from '../util/format.js'
import { refuse } from '../util/is.js'
import { printable } from '../util/text.js'
import { interruptSignal } from './interrupt.js'
import { enterJob, ownDevice, shareThreads } from './job.js'
import { launch, processesOption } from './launch.js'
import { addModelOptions, type ModelOptions, openModel } from './model.js'
import { integer, jsonOption } from './options.js'
import { outputDrained } from './output.js'
import { color, fail, note, print, progress } from './terminal.js'

interface PredictCommandOptions extends ModelOptions {
  topK: number
  batchSize: number
  processes?: number | 'auto'
  json?: boolean
}

export const predictCommand = (): Command =>
  addModelOptions(new Command('predict'))
    .description('print the most probable classes of images')
    .argument('<image...>', 'image files, folders of images, or - for an image on stdin')
    .option('--top-k <n>', 'how many classes to show for each image', integer(1), 5)
    .option('--batch-size <n>', 'largest number of images in a batch', integer(1, 4096), 32)
    .addOption(processesOption())
    .addOption(jsonOption())
    .action(runPredict)

async function runPredict(paths: string[], options: PredictCommandOptions): Promise<void> {
  const { processes, threads } = options
  const job = enterJob()
  if (processes !== undefined || job !== null) {
    if (paths.includes('-'))
      throw refuse('-: expected image files or folders, because several processes cannot share stdin')
  }
  if (processes !== undefined) {
    process.exitCode = await launch(job, processes)
    return
  }
  shareThreads(job, threads)
  const device = ownDevice(job, options.device as Device)
  const signal = interruptSignal()
  await withGroup(job !== null, group => predictInGroup(group, paths, { ...options, device }, signal))
}

async function predictInGroup(
  group: Group,
  paths: string[],
  options: PredictCommandOptions,
  signal: AbortSignal,
): Promise<void> {
  const { topK, batchSize, json } = options
  const { files, areAbsent } = await expand(paths, signal)
  // Weights are not downloaded if no file exists.
  if (areAbsent && options.checkpoint === undefined && options.model !== undefined) {
    return refuseAll(files, json ? jsonWriter() : textWriter(topK, files), group)
  }
  using model = await openModel(options, [], signal)
  using bar = progress('predicting', files.length)
  const write = group.isFirst ? (json ? jsonWriter() : textWriter(topK, files)) : silent
  let failed = 0
  const predicting = { topK, batchSize, allowUntrained: options.allowUntrained === true, signal }
  try {
    for await (const { index, predictions, error } of predictShared(group, model, files, predicting)) {
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

type Result = { index: number } & (
  | { predictions: Prediction[]; error?: never }
  | { error: VisionTorchError; predictions?: never }
)

/** A result as ranks exchange it. */
type Exchanged = Prediction[] | { code: ErrorCode; message: string }

/** Yields the results of all files, in order, on all ranks of the group; each rank predicts its share of the batches. */
async function* predictShared(
  group: Group,
  model: Model,
  files: readonly string[],
  options: PredictOptions & { batchSize: number; topK: number },
): AsyncGenerator<Result, void> {
  if (group.size === 1) {
    yield* predictEach(
      model,
      files.map(file => (file === '-' ? process.stdin : file)),
      options,
    )
    return
  }
  await checkAgreement(group, {
    architecture: model.architecture,
    classes: digest(model.classes),
    preprocessing: JSON.stringify(model.preprocessing),
    images: `${files.length} (${digest(files)})`,
    topK: String(options.topK),
    batchSize: String(options.batchSize),
  })
  const plan = inOrder(files.length, options.batchSize)
  const own = ownShare(group, plan)
  const results = predictEach(
    model,
    own.flatMap(batch => Array.from(batch, i => files[i]!)),
    options,
  )
  const predictBatch = async () => {
    const batch: Exchanged[] = []
    for (let left = own.shift()!.length; left > 0; left--) {
      const { predictions, error } = (await results.next()).value!
      batch.push(predictions ?? { code: error.code, message: error.message })
    }
    return Buffer.from(JSON.stringify(batch))
  }
  let index = 0
  for await (const bytes of inRounds(group, plan.length, options.signal, predictBatch)) {
    const batch: Exchanged[] = JSON.parse(Buffer.from(bytes).toString())
    for (const result of batch) {
      if (Array.isArray(result)) yield { index: index++, predictions: result }
      else yield { index: index++, error: new VisionTorchError(result.code, result.message) }
    }
  }
}

function refuseAll(files: string[], write: ReturnType<typeof textWriter>, group: Group): void {
  process.exitCode = 1
  if (!group.isFirst) return
  for (const file of files)
    write.error(file, new VisionTorchError('ERR_FILE_NOT_FOUND', `${file}: no such file. Check the path`))
  write.end()
}

/** Replaces folders by the images below them. Keeps paths that do not exist, so that they fail when their turn comes. */
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

/** Prints each element of the array at once, so that memory does not grow with their number. */
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

/** For the ranks that do not print. */
const silent: ReturnType<typeof textWriter> = { predictions() {}, error() {}, end() {} }

/** Prints one line for each image if `topK` is 1, otherwise a block of lines. */
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
