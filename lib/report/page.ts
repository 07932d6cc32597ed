import { createHash } from 'node:crypto'
import type { ClassMetrics, Evaluation } from '../evaluate/metrics.js'
import type { EpochMetrics } from '../train/events.js'
import { differingOptions } from '../train/options.js'
import { formatNumber, formatShare } from '../util/format.js'
import type { Chart } from './chart.js'
import type { ReportData, Thumbnail } from './data.js'
import { type Content, Html, html } from './html.js'
import { script, style } from './style.js'
import { verdictOf } from './verdict.js'

// report.html: plain HTML that contains everything it needs. Its content security policy forbids loading anything, and
// running or applying anything but our own script and style sheet, which it identifies by their hashes.

interface Drawn {
  curves: readonly Chart[]
  confusion: Chart | null
  thumbnails: readonly Thumbnail[]
}

/** The largest number of classes in the table. If there are more, it shows the weakest ones. */
const MOST_CLASSES = 100
const MOST_EPOCHS = 500
const MOST_PAIRS = 12

const hashOf = (content: string): string =>
  `'sha256-${createHash('sha256').update(content).digest('base64')}'`

const policy = `default-src 'none'; img-src data:; style-src ${hashOf(style)}; script-src ${hashOf(script)}; base-uri 'none'; form-action 'none'`

export function renderPage(data: ReportData, { curves, confusion, thumbnails }: Drawn): string {
  const { evaluation } = data
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="${new Html(policy)}">
<title>${data.title} - visiontorch report</title>
<link rel="icon" href="data:,">
<style>${new Html(style)}</style>
</head>
<body>
<main>
<header>
<h1>${data.title}</h1>
${verdict(data)}
${summary(data)}
</header>
${curves.length > 0 && section('Training', html`<div class="curves">${curves.map(figure)}</div>${epochs(data)}`)}
${evaluation && confusion && section('Confusions', html`<div class="confusions">${matrix(confusion)}${pairs(evaluation)}</div>`)}
${evaluation && section('Classes', classes(evaluation))}
${thumbnails.length > 0 && section('Worst predictions', worst(thumbnails))}
${section('Configuration', configuration(data.config))}
</main>
<div id="tip" role="status" hidden></div>
<script>${new Html(script)}</script>
</body>
</html>
`.text
}

const section = (heading: string, content: Content): Html =>
  html`<section>
<h2>${heading}</h2>
${content}
</section>`

function verdict(data: ReportData): Html | null {
  const found = verdictOf(data)
  return (
    found &&
    html`<div class="card verdict-card ${found.tone}"><p class="lead">${found.text}</p><p>${found.advice}</p></div>`
  )
}

function summary({ history, best, evaluation }: ReportData): Html {
  const tiles: [string, Content][] = []
  if (evaluation) {
    const { top1, top5, loss, count, classes } = evaluation
    tiles.push(['Accuracy', formatShare(top1)])
    if (hasTop5(classes.length)) tiles.push(['Top 5', formatShare(top5)])
    tiles.push(['Macro F1', formatShare(mean(classes.map(({ f1 }) => f1)))])
    tiles.push(['Loss', formatNumber(loss)])
    tiles.push(['Images', formatCount(count)])
    tiles.push(['Classes', formatCount(classes.length)])
  }
  if (history.length > 0) {
    if (best) tiles.push(['Best epoch', `${Number(best.epoch)} of ${Number(history.at(-1)!.epoch)}`])
    tiles.push(['Training time', duration(history.reduce((sum, row) => sum + Number(row.seconds), 0))])
  }
  return html`<dl class="tiles">${tiles.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`
}

/** With five classes or fewer, top-5 accuracy is 100% whatever the network does. */
export const hasTop5 = (classes: number): boolean => classes > 5

const figure = ({ title, svg }: Chart): Html =>
  html`<figure class="card" aria-label="${title} by epoch">${new Html(svg)}</figure>`

function epochs({ history, best, evaluation }: ReportData): Html {
  const all: [string, (row: EpochMetrics) => string][] = [
    ['epoch', row => formatCount(row.epoch)],
    ['learning rate', row => formatNumber(row.learningRate)],
    ['training loss', row => formatNumber(row.trainLoss)],
    ['training accuracy', row => formatShare(row.trainTop1)],
    ['validation loss', row => formatNumber(row.validationLoss)],
    ['validation accuracy', row => formatShare(row.top1)],
    ['top 5', row => formatShare(row.top5)],
    ['images/s', row => formatNumber(row.imagesPerSecond)],
    ['seconds', row => formatNumber(row.seconds)],
  ]
  const columns = all.filter(([name]) => name !== 'top 5' || hasTop5(evaluation?.classes.length ?? Infinity))
  const every = Math.ceil(history.length / MOST_EPOCHS)
  const shown = history.filter((row, i) => i % every === 0 || row.epoch === best?.epoch)
  const rows = shown.map(
    row =>
      html`<tr class="${row.epoch === best?.epoch ? 'best' : ''}">${columns.map(([, value]) => html`<td>${value(row)}</td>`)}</tr>`,
  )
  const title =
    every === 1
      ? 'All epochs as a table'
      : `Every ${every}th of ${formatCount(history.length)} epochs as a table; metrics.csv has all`
  const header = columns.map(([name]) => name)
  return html`<details><summary>${title}</summary>${table('Epochs', header, rows)}</details>`
}

const matrix = ({ title, svg }: Chart): Html =>
  html`<figure class="card scroll matrix" tabindex="0" role="region" aria-label="${title}">${new Html(svg)}</figure>`

function pairs({ confusions, classes }: Evaluation): Html {
  const all = confusions
    .filter(({ actual, predicted }) => actual !== predicted)
    .map(cell => ({ ...cell, share: cell.count / classes[cell.actual]!.support }))
    .sort((a, b) => b.count - a.count || b.share - a.share)
  if (all.length === 0) return html`<p class="card">No image was predicted as another class.</p>`
  const rows = all
    .slice(0, MOST_PAIRS)
    .map(
      ({ actual, predicted, count, share }) =>
        html`<tr><td>${classes[actual]!.label}</td><td>${classes[predicted]!.label}</td><td>${formatCount(count)}</td><td>${formatShare(share)}</td></tr>`,
    )
  const left =
    all.length > rows.length &&
    `The ${rows.length} of ${formatCount(all.length)} confusions with the most images.`
  const header = ['true class', 'predicted', 'images', 'of the class']
  return html`<div class="card"><h3>Most frequent confusions</h3>${left && html`<p class="note">${left}</p>`}${table('Most frequent confusions', header, rows, 2)}</div>`
}

function classes({ classes }: Evaluation): Html {
  const weakest = classes.toSorted((a, b) => a.f1 - b.f1).slice(0, MOST_CLASSES)
  const rows = weakest.map(
    row =>
      html`<tr><td>${row.label}</td>${measure(row, 'precision')}${measure(row, 'recall')}${measure(row, 'f1')}<td>${formatCount(row.support)}</td></tr>`,
  )
  const left =
    classes.length > rows.length &&
    html`<b>The ${rows.length} weakest of ${formatCount(classes.length)} classes; classes.csv in the same folder has all.</b> `
  return html`<p class="note">${left}The weakest classes come first. Precision: the share of the images predicted as this class that belong to it. Recall: the share of the images of this class that were predicted as it. F1: the harmonic mean of the two. Support: the number of images of this class.</p>
<div class="card">${table('Metrics by class', ['class', 'precision', 'recall', 'F1', 'support'], rows, 1)}</div>`
}

function measure(row: ClassMetrics, name: 'precision' | 'recall' | 'f1'): Html {
  const value = row[name]
  return html`<td class="measure"><span class="s${Math.round(100 * value)}">${formatShare(value)}</span></td>`
}

/** The first `texts` columns hold words; the others hold numbers, which are aligned right. */
function table(name: string, header: readonly string[], rows: readonly Html[], texts = 0): Html {
  const cells = header.map(text => html`<th scope="col">${text}</th>`)
  return html`<div class="scroll tall" tabindex="0" role="region" aria-label="${name}"><table class="texts-${texts}"><thead><tr>${cells}</tr></thead><tbody>${rows}</tbody></table></div>`
}

function worst(thumbnails: readonly Thumbnail[]): Html {
  const cards = thumbnails.map(({ file, label, predicted, score, labelScore, picture }) => {
    const image = picture
      ? html`<img src="${new Html(picture.uri)}" width="${picture.width}" height="${picture.height}" alt="An image of ${label}">`
      : html`<div class="missing">can no longer be read</div>`
    const isRight = label === predicted
    return html`<li class="card"><div class="picture">${image}</div>
<p><span class="verdict ${isRight ? 'right' : 'wrong'}">${isRight ? 'unsure' : 'wrong'}</span> <b>${predicted}</b> ${formatShare(score)}</p>
${!isRight && html`<p>is <b>${label}</b> ${formatShare(labelScore)}</p>`}
<p class="file" title="${file}">${shortName(file)}</p></li>`
  })
  return html`<p class="note">The validation images whose own class got the lowest score. Wrong labels in the data set show up here first.</p>
<ol class="worst">${cards}</ol>`
}

/** Shows first the options that differ from the defaults, and the rest, group by group, on demand. */
function configuration(config: ReportData['config']): Html {
  const { options, ...rest } = config
  const groups: [string, [string, string][]][] = []
  if (isObject(options)) {
    const differing = new Set(differingOptions(options))
    const all = Object.entries(options)
    const pick = (given: boolean) => Object.fromEntries(all.filter(([name]) => differing.has(name) === given))
    groups.push(['Options that differ from the defaults', flatten(pick(true))])
    groups.push(['Options at their defaults', flatten(pick(false))])
  }
  const scalars = Object.entries(rest).filter(([, value]) => !isObject(value))
  const nested = Object.entries(rest).filter(([, value]) => isObject(value))
  groups.push(['Run', flatten(Object.fromEntries(scalars))])
  for (const [name, value] of nested) groups.push([name, flatten({ [name]: value })])
  const [first, ...others] = groups.filter(([, rows], i) => i === 0 || rows.length > 0)
  return html`<div class="card"><h3>${first![0]}</h3>${rowsOf(first![1])}
${others.map(([heading, rows]) => html`<details><summary>${heading}</summary>${rowsOf(rows)}</details>`)}</div>`
}

function rowsOf(rows: readonly [string, string][]): Html {
  if (rows.length === 0) return html`<p class="note">None: every option has its default.</p>`
  return html`<dl class="configuration">${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Turns nested objects into rows named `outer.inner`. A list becomes one row, which tells how many elements of a long
 * list it leaves out.
 */
function flatten(value: Readonly<Record<string, unknown>>, prefix = ''): [string, string][] {
  return Object.entries(value).flatMap(([key, entry]): [string, string][] => {
    const name = prefix + key
    if (entry === undefined) return []
    if (isObject(entry)) return flatten(entry, `${name}.`)
    if (Array.isArray(entry) && entry.every(item => typeof item !== 'object')) {
      const shown = entry.slice(0, 20).join(', ')
      const left = entry.length - 20
      return [[name, left > 0 ? `${shown} and ${formatCount(left)} more, all in config.json` : shown]]
    }
    return [[name, typeof entry === 'string' ? entry : JSON.stringify(entry)]]
  })
}

/** The folder (often the class) and the file name. */
const shortName = (file: string): string => file.split(/[\\/]/).slice(-2).join('/')

const formatCount = (value: number): string => Number(value).toLocaleString('en-US')

function duration(seconds: number): string {
  if (seconds < 90) return `${seconds.toFixed(0)} s`
  const minutes = Math.round(seconds / 60)
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
}
