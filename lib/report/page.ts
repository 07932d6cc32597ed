import { formatNumber, formatShare } from '../format.js'
import type { ClassMetrics, Evaluation } from '../metrics.js'
import type { EpochMetrics } from '../train/events.js'
import type { Chart } from './chart.js'
import type { ReportData, Thumbnail } from './report.js'
import { script, style } from './style.js'

// report.html: plain HTML with everything inside. The content security policy states that it loads nothing.

interface Drawn {
  curves: readonly Chart[]
  confusion: Chart | null
  thumbnails: readonly Thumbnail[]
}

export function renderPage(data: ReportData, { curves, confusion, thumbnails }: Drawn): string {
  const { evaluation } = data
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${escapeHtml(data.title)} - visiontorch report</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<main>
<header>
<h1>${escapeHtml(data.title)}</h1>
${summary(data)}
</header>
${section('Training', curves.length > 0 && `<div class="curves">${curves.map(figure).join('\n')}</div>${epochs(data)}`)}
${section('Confusions', evaluation && confusion && `<div class="confusions">${matrix(confusion)}${pairs(evaluation)}</div>`)}
${section('Classes', evaluation && classes(evaluation))}
${section('Worst predictions', thumbnails.length > 0 && worst(thumbnails))}
${section('Configuration', configuration(data.config))}
</main>
<div id="tip" role="status" hidden></div>
<script>${script}</script>
</body>
</html>
`
}

function section(heading: string, content: string | false | null): string {
  return content ? `<section>\n<h2>${heading}</h2>\n${content}\n</section>` : ''
}

function summary({ history, best, evaluation }: ReportData): string {
  const tiles: [string, string][] = []
  if (evaluation) {
    const { top1, top5, loss, count, classes } = evaluation
    tiles.push(['Accuracy', formatShare(top1)])
    if (classes.length > 5) tiles.push(['Top 5', formatShare(top5)])
    tiles.push(['Macro F1', formatShare(mean(classes.map(({ f1 }) => f1)))])
    tiles.push(['Loss', formatNumber(loss)])
    tiles.push(['Images', count.toLocaleString('en-US')])
    tiles.push(['Classes', classes.length.toLocaleString('en-US')])
  }
  if (history.length > 0) {
    if (best) tiles.push(['Best epoch', `${best.epoch} of ${history.at(-1)!.epoch}`])
    tiles.push(['Training time', duration(history.reduce((sum, row) => sum + row.seconds, 0))])
  }
  return `<dl class="tiles">${tiles.map(([name, value]) => `<div><dt>${name}</dt><dd>${escapeHtml(value)}</dd></div>`).join('')}</dl>`
}

function figure({ title, svg }: Chart): string {
  return `<figure class="card" aria-label="${escapeHtml(title)} by epoch">${svg}</figure>`
}

function epochs({ history, best }: ReportData): string {
  const columns: [string, (row: EpochMetrics) => string][] = [
    ['epoch', row => String(row.epoch)],
    ['learning rate', row => formatNumber(row.learningRate)],
    ['training loss', row => formatNumber(row.trainLoss)],
    ['training accuracy', row => formatShare(row.trainTop1)],
    ['validation loss', row => formatNumber(row.validationLoss)],
    ['validation accuracy', row => formatShare(row.top1)],
    ['top 5', row => formatShare(row.top5)],
    ['images/s', row => formatNumber(row.imagesPerSecond)],
    ['seconds', row => formatNumber(row.seconds)],
  ]
  const rows = history.map(row => {
    const cells = columns.map(([, value]) => `<td>${value(row)}</td>`).join('')
    return `<tr${row.epoch === best?.epoch ? ' class="best"' : ''}>${cells}</tr>`
  })
  return `<details><summary>All epochs as a table</summary>${table(
    'Epochs',
    columns.map(([name]) => name),
    rows,
  )}</details>`
}

function matrix({ title, svg, width }: Chart): string {
  return `<figure class="card scroll" tabindex="0" role="region" aria-label="${escapeHtml(title)}"><div style="width:${width}px">${svg}</div></figure>`
}

function pairs({ confusions, classes }: Evaluation): string {
  const all = confusions
    .filter(({ actual, predicted }) => actual !== predicted)
    .map(cell => ({ ...cell, share: cell.count / classes[cell.actual]!.support }))
  if (all.length === 0) return '<p class="card">No image was taken for one of another class.</p>'
  const rows = all
    .sort((a, b) => b.count - a.count || b.share - a.share)
    .slice(0, 12)
    .map(
      ({ actual, predicted, count, share }) =>
        `<tr><td>${escapeHtml(classes[actual]!.label)}</td><td>${escapeHtml(classes[predicted]!.label)}</td><td>${count}</td><td>${formatShare(share)}</td></tr>`,
    )
  return `<div class="card"><h3>Most frequent confusions</h3>${table('Most frequent confusions', ['true class', 'predicted', 'images', 'of the class'], rows, 2)}</div>`
}

function classes({ classes }: Evaluation): string {
  const rows = [...classes]
    .sort((a, b) => a.f1 - b.f1)
    .map(
      row =>
        `<tr><td>${escapeHtml(row.label)}</td>${measure(row, 'precision')}${measure(row, 'recall')}${measure(row, 'f1')}<td>${row.support}</td></tr>`,
    )
  return `<p class="note">Weakest first. Precision: how many of the images given this label bear it. Recall: how many of the images that bear it were found. F1: their harmonic mean. Support: the images that bear it.</p>
<div class="card">${table('Figures by class', ['class', 'precision', 'recall', 'F1', 'support'], rows, 1)}</div>`
}

function measure(row: ClassMetrics, name: 'precision' | 'recall' | 'f1'): string {
  const value = row[name]
  return `<td class="measure"><span style="--share:${value.toFixed(4)}">${formatShare(value)}</span></td>`
}

/** `texts`: how many of the first columns hold words; the others hold numbers, aligned right. */
function table(name: string, header: readonly string[], rows: readonly string[], texts = 0): string {
  const cells = header.map(text => `<th scope="col">${text}</th>`).join('')
  return `<div class="scroll tall" tabindex="0" role="region" aria-label="${name}"><table class="texts-${texts}"><thead><tr>${cells}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`
}

function worst(thumbnails: readonly Thumbnail[]): string {
  const cards = thumbnails.map(({ file, label, predicted, score, labelScore, picture }) => {
    const image = picture
      ? `<img src="${picture.uri}" width="${picture.width}" height="${picture.height}" alt="An image of ${escapeHtml(label)}">`
      : '<div class="missing">cannot be read any more</div>'
    const isRight = label === predicted
    return `<li class="card"><div class="picture">${image}</div>
<p><span class="verdict ${isRight ? 'right' : 'wrong'}">${isRight ? 'unsure' : 'wrong'}</span> <b>${escapeHtml(predicted)}</b> ${formatShare(score)}</p>
${isRight ? '' : `<p>is <b>${escapeHtml(label)}</b> ${formatShare(labelScore)}</p>`}
<p class="file" title="${escapeHtml(file)}">${escapeHtml(shortName(file))}</p></li>`
  })
  return `<p class="note">The validation images whose own class was given the lowest score. A wrong label in the data set shows up here first.</p>
<ol class="worst">${cards.join('\n')}</ol>`
}

function configuration(config: ReportData['config']): string {
  const rows = flatten(config).map(
    ([name, value]) => `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd></div>`,
  )
  return `<dl class="card configuration">${rows.join('\n')}</dl>`
}

/** Nested objects as `outer.inner` rows; lists in one row, long ones cut. */
function flatten(value: Readonly<Record<string, unknown>>, prefix = ''): [string, string][] {
  return Object.entries(value).flatMap(([key, entry]): [string, string][] => {
    const name = prefix + key
    if (entry === undefined) return []
    if (typeof entry === 'object' && entry !== null && !Array.isArray(entry)) {
      return flatten(entry as Record<string, unknown>, `${name}.`)
    }
    if (Array.isArray(entry) && entry.every(item => typeof item !== 'object')) {
      const shown = entry.slice(0, 20).join(', ')
      return [[name, entry.length > 20 ? `${shown}, … (${entry.length})` : shown]]
    }
    return [[name, typeof entry === 'string' ? entry : JSON.stringify(entry)]]
  })
}

/** The folder (which often is the class) and the name. */
function shortName(file: string): string {
  return file.split(/[\\/]/).slice(-2).join('/')
}

function duration(seconds: number): string {
  if (seconds < 90) return `${seconds.toFixed(0)} s`
  const minutes = Math.round(seconds / 60)
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
}
