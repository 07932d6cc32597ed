import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Evaluation } from '../evaluate/metrics.js'
import { cannotWrite, replaceFile } from '../util/files.js'
import { onPaper } from './chart.js'
import { drawClasses } from './class-chart.js'
import { classesCsv, matrixCsv } from './csv.js'
import { png } from './report.js'

/** If there are more classes, confusions.csv has the cells that are not zero, see writeReport(). */
const MOST_COLUMNS = 1000

/**
 * Writes the files of an evaluation besides its report: `precision_recall.png`, `classes.csv` with the same metrics, and the
 * whole `confusion_matrix.csv`. Returns the paths.
 */
export async function writeEvaluation(directory: string, evaluation: Evaluation): Promise<string[]> {
  const files: [string, string | Buffer][] = [
    ['precision_recall.png', await png(onPaper(await drawClasses(evaluation)))],
    ['classes.csv', classesCsv(evaluation)],
  ]
  if (evaluation.classes.length <= MOST_COLUMNS) files.push(['confusion_matrix.csv', matrixCsv(evaluation)])
  await mkdir(directory, { recursive: true }).catch(error => Promise.reject(cannotWrite(directory, error)))
  for (const [name, content] of files) await replaceFile(join(directory, name), content)
  return files.map(([name]) => join(directory, name))
}
