import { Command } from 'commander'
import { checkDataset } from '../doctor/dataset.js'
import { printDatasetReport } from './dataset-report.js'
import { interruptSignal } from './interrupt.js'
import { jsonOption } from './options.js'
import { type Progress, printJson, progress } from './terminal.js'

/** `visiontorch doctor`: what keeps training from working, or from meaning anything. */
export const doctorCommand = (): Command =>
  new Command('doctor')
    .description('look for what would go wrong; exit code 1 where something would')
    .requiredOption('--data <dir>', 'check a data set: a folder of images or an annotation file')
    .addOption(jsonOption())
    .action(async ({ data, json = false }: { data: string; json?: boolean }) => {
      if (!(await doctorData(data, json))) process.exitCode = 1
    })

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
