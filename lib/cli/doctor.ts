import { Command } from 'commander'
import { checkDataset } from '../doctor/dataset.js'
import { checkMachine } from '../doctor/machine.js'
import { printDatasetReport } from './dataset-report.js'
import { interruptSignal } from './interrupt.js'
import { printMachineReport } from './machine-report.js'
import { jsonOption } from './options.js'
import { type Progress, printJson, progress } from './terminal.js'

/** `visiontorch doctor`: what keeps training from working, or from meaning anything: this machine, or a data set. */
export const doctorCommand = (): Command =>
  new Command('doctor')
    .description('look for what would go wrong; exit code 1 where something would')
    .option(
      '--data <dir>',
      'check a data set instead of this machine: a folder of images or an annotation file',
    )
    .addOption(jsonOption())
    .action(async ({ data, json = false }: { data?: string; json?: boolean }) => {
      const ok = data === undefined ? doctorMachine(json) : await doctorData(data, json)
      if (!ok) process.exitCode = 1
    })

/** Shows which LibTorch is loaded, from where, and on what. Gives whether it is. */
function doctorMachine(json: boolean): boolean {
  const report = checkMachine()
  if (json) printJson(report)
  else printMachineReport(report)
  return report.ok
}

/** Checks a data set and shows what was found. Gives whether training can use it. */
async function doctorData(data: string, json: boolean): Promise<boolean> {
  let bar: Progress | undefined
  const onProgress = ({ done, total }: { done: number; total: number }): void => {
    bar ??= progress('decoding', total)
    bar.update(done)
  }
  const report = await checkDataset(data, { signal: interruptSignal(), onProgress }).finally(() =>
    bar?.stop(),
  )
  if (json) printJson(report)
  else printDatasetReport(report)
  return report.ok
}
