import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import pLimit from 'p-limit'
import type { Raw } from 'sharp'
import type { PoorPrediction } from '../evaluate/metrics.js'
import { decode } from '../image/decode.js'
import { loadSharp } from '../image/sharp.js'
import type { Pixels } from '../native/native.js'
import { escapeName } from '../util/file-name.js'
import { cannotWrite, replaceFile } from '../util/files.js'
import { type Chart, onPaper } from './chart.js'
import { drawConfusion, MOST_MATRIX } from './confusion.js'
import { classesCsv, confusionsCsv } from './csv.js'
import { drawCurves } from './curves.js'
import type { ReportData, Thumbnail } from './data.js'
import { hasTop5, renderPage } from './page.js'

/** How many of the worst-predicted images a report shows. */
export const WORST_IN_REPORT = 24

/**
 * Writes `report.html` (one file that needs nothing else), and, if there is something to draw, `results.png` (the
 * curves) and `confusion_matrix.png`, into `directory`, which is made if need be. With more classes than the page shows,
 * `classes.csv` and `confusions.csv` have them all. Returns the paths.
 * @param decodeImage Gives the pixels of a file as the network was shown them.
 */
export async function writeReport(
  directory: string,
  data: ReportData,
  decodeImage: (file: string) => Promise<Pixels> = file => decode(file),
): Promise<string[]> {
  const { history, best, evaluation } = data
  const turn = pLimit(4) // a decoded photograph takes tens of megabytes
  const [curves, confusion, thumbnails] = await Promise.all([
    drawCurves(history, best, hasTop5(evaluation?.classes.length ?? Infinity)),
    evaluation && drawConfusion(evaluation),
    Promise.all(
      (evaluation?.worst ?? [])
        .slice(0, WORST_IN_REPORT)
        .map(image => turn(() => thumbnail(image, decodeImage))),
    ),
  ])
  const files: [string, string | Buffer][] = [
    ['report.html', escapeName(renderPage(data, { curves, confusion, thumbnails }))],
  ]
  if (curves.length > 0) files.push(['results.png', await png(sheet(curves))])
  if (evaluation && evaluation.classes.length > MOST_MATRIX)
    files.push(['classes.csv', classesCsv(evaluation)], ['confusions.csv', confusionsCsv(evaluation)])
  if (confusion) files.push(['confusion_matrix.png', await png(onPaper(confusion))])
  await mkdir(directory, { recursive: true }).catch(error => Promise.reject(cannotWrite(directory, error)))
  return Promise.all(
    files.map(async ([name, content]) => {
      const path = join(directory, name)
      await replaceFile(path, content)
      return path
    }),
  )
}

/** Charts two a row, as one SVG. */
function sheet(charts: readonly Chart[]): string {
  const width = Math.max(...charts.map(chart => chart.width))
  const height = Math.max(...charts.map(chart => chart.height))
  const placed = charts.map(
    (chart, index) =>
      `<svg x="${(index % 2) * width}" y="${Math.floor(index / 2) * height}" ${onPaper(chart).slice('<svg '.length)}`,
  )
  const rows = Math.ceil(charts.length / 2)
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${2 * width}" height="${rows * height}">${placed.join('')}</svg>`
}

/** On white, at two pixels a unit. The letters come from the system's fonts; without one they are empty boxes. */
async function png(svg: string): Promise<Buffer> {
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
    return { ...prediction, picture: null } // moved or deleted since: the scores are still worth showing
  }
}
