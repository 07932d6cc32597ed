import { Command } from 'commander'
import type { Columns } from '../data/columns.js'
import { checkDataset } from '../doctor/dataset.js'
import { checkMachine } from '../doctor/machine.js'
import { refuse } from '../util/is.js'
import { printDatasetReport } from './dataset-report.js'
import { interruptSignal } from './interrupt.js'
import { printMachineReport } from './machine-report.js'
import { addSourceArgument, classesOption, dataOf, integer, jsonOption } from './options.js'
import { type Progress, printJson, progress } from './terminal.js'

interface DoctorFlags {
  data?: string
  classes?: string
  columns?: Columns
  batchSize?: number
  json?: boolean
}

/**
 * `visiontorch doctor` looks for problems in this machine or in a data set that would make training fail or its
 * results meaningless.
 */
export const doctorCommand = (): Command =>
  addSourceArgument(
    new Command('doctor').description(
      'look for problems before they stop you; the exit code is 1 if there are errors',
    ),
    'check a data set instead of this machine: a folder of images or an annotation file',
  )
    .addOption(classesOption())
    .option('--batch-size <n>', 'the batch size that you will train with (default: 32)', integer(1))
    .addOption(jsonOption())
    .action(async (argument: string | undefined, flags: DoctorFlags) => {
      const { data: _, json = false, ...options } = flags
      const data = dataOf(argument, flags)
      if (data === undefined) refuseDataOptions(options)
      const ok = data === undefined ? doctorMachine(json) : await doctorData(data, json, options)
      if (!ok) process.exitCode = 1
    })

/** @throws ERR_INVALID_ARGUMENT for an option that says something about a data set. */
function refuseDataOptions(options: Readonly<Record<string, unknown>>): void {
  const [name] = Object.keys(options).filter(name => options[name] !== undefined)
  if (name === undefined) return
  throw refuse(`${name}: expected DATA with it, because without DATA doctor checks this machine`, name)
}

/** Shows which LibTorch is loaded, its location, and the machine. Returns whether one is loaded. */
function doctorMachine(json: boolean): boolean {
  const report = checkMachine()
  if (json) printJson(report)
  else printMachineReport(report)
  return report.ok
}

/** Checks a data set and shows the findings. Returns whether training can use it. */
async function doctorData(
  data: string,
  json: boolean,
  options: Pick<DoctorFlags, 'classes' | 'columns' | 'batchSize'>,
): Promise<boolean> {
  let bar: Progress | undefined
  const onProgress = ({ done, total }: { done: number; total: number }): void => {
    bar ??= progress('decoding', total)
    bar.update(done)
  }
  const report = await checkDataset(data, { ...options, signal: interruptSignal(), onProgress }).finally(() =>
    bar?.stop(),
  )
  if (json) printJson(report)
  else printDatasetReport(report)
  return report.ok
}
