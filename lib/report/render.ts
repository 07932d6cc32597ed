import { escapeName } from '../util/file-name.js'
import { type Chart, onPaper } from './chart.js'
import { drawConfusion } from './confusion.js'
import { drawCurves } from './curves.js'
import type { ReportData, Thumbnail } from './data.js'
import { hasTop5, renderPage } from './page.js'

/** A report as text: the page, and the drawings on a white background as SVG. */
export interface RenderedReport {
  html: string
  /** The curves; null if there are no epochs. */
  curves: string | null
  /** The confusion matrix; null if there is no evaluation. */
  confusion: string | null
}

/** The argument of {@link renderReport}: plain values, which can be passed to another thread. */
export interface RenderInput {
  data: ReportData
  thumbnails: readonly Thumbnail[]
}

/** Draws the charts and builds the page. This can take seconds, so it runs in a separate thread, see worker.ts. */
export async function renderReport({ data, thumbnails }: RenderInput): Promise<RenderedReport> {
  const { history, best, evaluation } = data
  const curves = await drawCurves(history, best, hasTop5(evaluation?.classes.length ?? Infinity))
  const confusion = evaluation && (await drawConfusion(evaluation))
  return {
    html: escapeName(renderPage(data, { curves, confusion, thumbnails })),
    curves: curves.length > 0 ? sheet(curves) : null,
    confusion: confusion && onPaper(confusion),
  }
}

/** Joins charts into one SVG, with two in a row. */
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
