import type { Spec } from 'vega'

// Charts, drawn by Vega as SVG. Colours are CSS variables, so that the same drawing serves report.html in light and dark
// mode, and, with the variables replaced, the PNG files.

export const color = {
  ink: 'var(--ink)',
  muted: 'var(--muted)',
  grid: 'var(--grid)',
  /** The colours of a chart's series; the first also shades the confusion matrix. */
  series: ['var(--series-1)', 'var(--series-2)', 'var(--series-3)'] as const,
  /** The colour of text on a dark cell of the matrix. */
  onSeries: 'var(--on-series)',
}
export const font = 'inherit'

/** The values of the variables in light and dark mode. */
export const themes = {
  light: {
    ink: '#1b1f24',
    muted: '#59636e',
    grid: '#e4e7eb',
    'series-1': '#2f6bd8',
    'series-2': '#d9600b',
    'series-3': '#2b8a5c',
    'on-series': '#ffffff',
  },
  dark: {
    ink: '#e7ebf0',
    muted: '#9aa5b1',
    grid: '#2b313a',
    'series-1': '#7aa7ff',
    'series-2': '#ff9f5a',
    'series-3': '#5fcf9a',
    'on-series': '#0f1216',
  },
}

/** The drawing on a white background, as the text of a self-contained SVG file. */
export function onPaper({ svg }: Chart): string {
  return svg
    .replace(/var\(--([\w-]+)\)/g, (_, name: keyof typeof themes.light) => themes.light[name])
    .replaceAll(`font-family="${font}"`, 'font-family="Inter, Helvetica, Arial, DejaVu Sans, sans-serif"')
}

/** A drawing: an SVG element as text, and its size in pixels. */
export interface Chart {
  title: string
  svg: string
  width: number
  height: number
}

/** The settings that differ between the drawings of a report. */
export type Drawing = Pick<Spec, 'data' | 'scales' | 'axes' | 'legends' | 'marks' | 'signals'> & {
  title: string
  subtitle?: string
  width: number
  height: number
  /** Whether width and height are those of the whole drawing with its axes (the default), or of the plot. */
  fit?: boolean
}

/**
 * Loads Vega only for a report, because that takes longer than loading all of visiontorch. The name is not a literal,
 * because esbuild would follow the import and stop at Vega's top-level await. Next.js follows it, to copy the package.
 */
function loadVega(): Promise<typeof import('vega')> {
  const vega = 'vega'
  return import(/* webpackIgnore: true */ /* turbopackIgnore: false */ vega)
}

/** Draws a chart with the report's fonts and colours. */
export async function draw({
  title,
  subtitle = '',
  width,
  height,
  fit = true,
  ...parts
}: Drawing): Promise<Chart> {
  const { View, parse } = await loadVega()
  const text = { font, fill: color.ink }
  const spec: Spec = {
    ...parts,
    width,
    height,
    padding: 8,
    autosize: fit ? { type: 'fit', contains: 'padding' } : { type: 'pad' },
    title: { text: title, subtitle, anchor: 'start', frame: 'bounds', offset: 10 },
    config: {
      title: {
        font,
        color: color.ink,
        fontSize: 15,
        fontWeight: 600,
        subtitleFont: font,
        subtitleColor: color.muted,
        subtitlePadding: 5,
      },
      style: { cell: { stroke: 'transparent' }, 'guide-label': text, 'guide-title': text },
      axis: {
        labelFont: font,
        titleFont: font,
        labelColor: color.muted,
        titleColor: color.muted,
        titleFontWeight: 'normal',
        titlePadding: 8,
        labelFontSize: 11,
        titleFontSize: 12,
        gridColor: color.grid,
        domainColor: color.grid,
        tickColor: color.grid,
      },
      legend: {
        labelFont: font,
        labelColor: color.muted,
        labelFontSize: 12,
        labelLimit: 240,
        symbolStrokeWidth: 2.5,
        columnPadding: 8,
        offset: 6,
      },
    },
  }
  const view = new View(parse(spec), { renderer: 'none' })
  const svg = await view.toSVG()
  view.finalize()
  const [, drawnWidth, drawnHeight] = /viewBox="0 0 ([\d.]+) ([\d.]+)"/.exec(svg) ?? [null, width, height]
  return { title, svg, width: Number(drawnWidth), height: Number(drawnHeight) }
}
