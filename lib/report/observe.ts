import { basename } from 'node:path'
import type { Observer, RunStart } from '../train/observer.js'

/** Writes report.html and its pictures after training, with `report: true`. */
export async function observeForReport({ options }: RunStart): Promise<Observer | null> {
  if (!options.report) return null
  return {
    async trained({ directory, config, best, history, evaluate, decode, warn }) {
      try {
        // Imported only here, because the charting library takes a while to load.
        const { WORST_IN_REPORT, writeReport } = await import('./report.js')
        const evaluation = await evaluate(WORST_IN_REPORT)
        const title = `${config.architecture}: ${basename(directory)}`
        await writeReport(directory, { title, history, best, evaluation, config }, decode)
      } catch (error) {
        warn(`the report could not be written: ${(error as Error).message}`) // do not fail the run: its weights are good
      }
    },
  }
}
