import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import pLimit from 'p-limit'
import type { Raw } from 'sharp'
import type { PoorPrediction } from '../evaluate/metrics.js'
import { decode } from '../image/decode.js'
import { loadSharp } from '../image/sharp.js'
import type { Pixels } from '../native/native.js'
import { cannotWrite, replaceFile } from '../util/files.js'
import { MOST_MATRIX } from './confusion.js'
import { classesCsv, confusionsCsv } from './csv.js'
import type { ReportData, Thumbnail } from './data.js'
import { renderInWorker } from './worker.js'

/** How many of the worst predictions a report shows. */
export const WORST_IN_REPORT = 24

/**
 * Writes `report.html` (one file that needs nothing else), and, if there is something to draw, `results.png` (the
 * curves) and `confusion_matrix.png` into `directory`, which is created if necessary. If there are more classes than the
 * page shows, `classes.csv` and `confusions.csv` have them all. Returns the paths.
 * @param decodeImage Returns the pixels of a file as the network saw them.
 */
export async function writeReport(
  directory: string,
  data: ReportData,
  decodeImage: (file: string) => Promise<Pixels> = file => decode(file),
): Promise<string[]> {
  const { evaluation } = data
  const turn = pLimit(4) // a decoded photo takes tens of megabytes
  const thumbnails = await Promise.all(
    (evaluation?.worst ?? [])
      .slice(0, WORST_IN_REPORT)
      .map(image => turn(() => thumbnail(image, decodeImage))),
  )
  const { html, curves, confusion } = await renderInWorker({ data: plain(data), thumbnails })
  const files: [string, string | Buffer][] = [['report.html', html]]
  if (curves !== null) files.push(['results.png', await png(curves)])
  if (evaluation && evaluation.classes.length > MOST_MATRIX)
    files.push(['classes.csv', classesCsv(evaluation)], ['confusions.csv', confusionsCsv(evaluation)])
  if (confusion !== null) files.push(['confusion_matrix.png', await png(confusion)])
  await mkdir(directory, { recursive: true }).catch(error => Promise.reject(cannotWrite(directory, error)))
  return Promise.all(
    files.map(async ([name, content]) => {
      const path = join(directory, name)
      await replaceFile(path, content)
      return path
    }),
  )
}

/** The data without `confusion`, whose getter would build the whole matrix when the data is copied. */
function plain(data: ReportData): ReportData {
  if (data.evaluation === null) return data
  const { top1, top5, loss, count, classes, confusions, worst } = data.evaluation
  return { ...data, evaluation: { top1, top5, loss, count, classes, confusions, worst, confusion: [] } }
}

/**
 * Renders an SVG as PNG on a white background, at two pixels per unit. Text needs a font on the system; without one,
 * letters are empty boxes.
 */
export async function png(svg: string): Promise<Buffer> {
  const sharp = loadSharp()
  return sharp(Buffer.from(svg), { density: 144, unlimited: true })
    .flatten({ background: '#ffffff' })
    .png()
    .toBuffer()
}

async function thumbnail(
  prediction: PoorPrediction,
  decodeImage: (file: string) => Promise<Pixels>,
): Promise<Thumbnail> {
  try {
    const { data: raw, ...size } = await decodeImage(prediction.file)
    const sharp = loadSharp()
    const { data, info } = await sharp(raw, { raw: size as Raw })
      .resize(320, 320, { fit: 'inside', withoutEnlargement: true })
      .webp({ quality: 70 })
      .toBuffer({ resolveWithObject: true })
    const uri = `data:image/webp;base64,${data.toString('base64')}`
    return { ...prediction, picture: { uri, width: info.width, height: info.height } }
  } catch {
    return { ...prediction, picture: null } // the file was moved or deleted, but its scores are still worth showing
  }
}
