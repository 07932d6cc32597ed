import { join } from 'node:path'
import { Command } from 'commander'
import type { Columns } from '../data/columns.js'
import { decodeByPath } from '../data/decode-sample.js'
import { toDataset } from '../data/open.js'
import { type Group, withGroup } from '../distributed/group.js'
import { evaluate, type ScoredImage } from '../evaluate/evaluate.js'
import type { Evaluation } from '../evaluate/metrics.js'
import type { Device } from '../native/runtime.js'
import { writeEvaluation } from '../report/evaluation.js'
import { checkPredictionsFile, writePredictions } from '../report/predictions.js'
import { writeReport } from '../report/report.js'
import { replaceFile } from '../util/files.js'
import { formatNumber, formatShare } from '../util/format.js'
import { interruptSignal } from './interrupt.js'
import { enterJob, ownDevice, shareThreads, shareWorkers } from './job.js'
import { launch, processesOption } from './launch.js'
import { addModelOptions, type ModelOptions, openModel } from './model.js'
import { addSourceArgument, integer, jsonOption, requiredDataOf } from './options.js'
import { note, type Progress, print, printJson, progress, table } from './terminal.js'

interface EvaluateCommandOptions extends ModelOptions {
  data?: string
  columns?: Columns
  split: string
  batchSize: number
  workers?: number | undefined
  processes?: number | 'auto'
  json?: boolean
  predictions?: string
  out?: string
}

export const evaluateCommand = (): Command =>
  addSourceArgument(
    addModelOptions(new Command('evaluate'), ['classes']),
    'a folder of images with a folder for each class, or an annotation file',
  )
    .description('compute accuracy, precision and recall on labelled images')
    .option('--split <name>', 'which images: val (or test), train, test, all', 'val')
    .option('--batch-size <n>', 'number of images in a batch', integer(1, 4096), 32)
    .option(
      '--workers <n>',
      'how many images are decoded at the same time (default: the number of cores, at most 8)',
      integer(1, 1024),
    )
    .option('--predictions <file>', 'also write the scores of every image: a .csv or .jsonl file')
    .option('--out <dir>', 'also write report.html, evaluation.json, charts, and the confusion matrix as CSV')
    .addOption(processesOption())
    .addOption(jsonOption())
    .action(runEvaluate)

async function runEvaluate(argument: string | undefined, options: EvaluateCommandOptions): Promise<void> {
  const data = requiredDataOf(argument, options)
  const { predictions, processes, threads } = options
  if (predictions !== undefined) checkPredictionsFile(predictions)
  const job = enterJob()
  if (processes !== undefined) {
    process.exitCode = await launch(job, processes)
    return
  }
  shareThreads(job, threads)
  const device = ownDevice(job, options.device as Device)
  const workers = options.workers ?? (job === null ? undefined : shareWorkers())
  const signal = interruptSignal()
  const work = (group: Group) => evaluateInGroup(group, data, { ...options, device, workers }, signal)
  await withGroup(job !== null, work)
}

async function evaluateInGroup(
  group: Group,
  data: string,
  options: EvaluateCommandOptions,
  signal: AbortSignal,
): Promise<void> {
  const { split, batchSize, workers, json, predictions, out, classes, columns } = options
  using model = await openModel(options, [data], signal)
  const dataset = await toDataset(data, { classes, columns, modelClasses: model.classes, signal })
  let bar: Progress | undefined
  const run = (onPrediction?: (image: ScoredImage) => Promise<void>) =>
    evaluate(model, dataset, {
      split,
      batchSize,
      allowUntrained: options.allowUntrained === true,
      ...(workers !== undefined && { workers }),
      distributed: group.size > 1,
      onPrediction,
      signal,
      onProgress({ done, total }) {
        bar ??= progress('evaluating', total)
        bar.update(done)
      },
    }).finally(() => bar?.stop())
  const evaluation =
    predictions !== undefined && group.isFirst
      ? await writePredictions(predictions, model.classes, run)
      : await run()
  if (!group.isFirst) return
  const figures = toJson(evaluation)
  if (json) printJson(figures)
  else print(text(evaluation))
  if (predictions !== undefined) note(`wrote ${predictions}`)
  if (out === undefined) return
  signal.throwIfAborted()
  const report = {
    title: `${model.architecture} on ${data}`,
    history: [],
    best: null,
    evaluation,
    config: {
      data,
      split,
      checkpoint: options.checkpoint,
      model: model.architecture,
      weights: options.weights,
    },
  }
  const { autoOrient } = model.preprocessing
  const files = await writeReport(
    out,
    report,
    decodeByPath([...dataset.splits.values()].flat(), { autoOrient }),
  )
  const others = await writeEvaluation(out, evaluation)
  await replaceFile(join(out, 'evaluation.json'), `${JSON.stringify(figures)}\n`)
  note(`wrote ${[...new Set([...files, ...others, join(out, 'evaluation.json')])].join(', ')}`)
}

/** Leaves out zero cells of the confusion matrix if there are more than 100 classes. */
function toJson(evaluation: Evaluation): object {
  const { top1, top5, loss, count, classes, confusions } = evaluation
  const figures = { top1, top5, loss, count, classes }
  return classes.length > 100 ? { ...figures, confusions } : { ...figures, confusion: evaluation.confusion }
}

function text({ top1, top5, loss, count, classes }: Evaluation): string {
  const rows = classes.map(({ label, precision, recall, f1, support }) => [
    label,
    formatShare(precision),
    formatShare(recall),
    formatShare(f1),
    support,
  ])
  const top = classes.length > 5 ? `, top 5 ${formatShare(top5)}` : ''
  const summary = `accuracy ${formatShare(top1)}${top}, loss ${formatNumber(loss)}, ${count} images`
  return `${table(['class', 'precision', 'recall', 'f1', 'images'], rows, 'lrrrr')}\n\n${summary}`
}
