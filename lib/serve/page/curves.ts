// Line charts of a training run. Colours and dashes come from the style sheet.

export type Point = [x: number, y: number]

export interface Line {
  /** The line's class in the style sheet. */
  className: string
  points: Point[]
}

const WIDTH = 480
const HEIGHT = 240
const LEFT = 52
const RIGHT = 12
const TOP = 12
const BOTTOM = 28

/** Draws lines over the epochs from 0 to `epochs`, with a vertical axis that begins at 0. */
export function drawCurves(
  svg: SVGSVGElement,
  lines: readonly Line[],
  epochs: number,
  format: (y: number) => string,
): void {
  const most = niceCeiling(Math.max(0, ...lines.flatMap(({ points }) => points.map(([, y]) => y))))
  const toX = (x: number) => LEFT + (x / epochs) * (WIDTH - LEFT - RIGHT)
  const toY = (y: number) => HEIGHT - BOTTOM - (y / most) * (HEIGHT - TOP - BOTTOM)
  const parts: SVGElement[] = []
  for (const y of [0, most / 2, most]) {
    parts.push(part('path', { class: 'grid', d: `M${LEFT} ${toY(y)}H${WIDTH - RIGHT}` }))
    parts.push(text({ x: LEFT - 8, y: toY(y) + 4, 'text-anchor': 'end' }, format(y)))
  }
  const step = Math.max(1, Math.ceil(epochs / 6))
  for (let x = 0; x <= epochs; x += step)
    parts.push(text({ x: toX(x), y: HEIGHT - 8, 'text-anchor': 'middle' }, String(x)))
  for (const { className, points } of lines) {
    const path = points.map(([x, y]) => `${toX(x).toFixed(1)} ${toY(y).toFixed(1)}`).join('L')
    if (points.length > 1) parts.push(part('path', { class: `line ${className}`, d: `M${path}` }))
    const last = points.at(-1)
    if (last) parts.push(part('circle', { class: className, cx: toX(last[0]), cy: toY(last[1]), r: 3 }))
  }
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`)
  svg.replaceChildren(...parts)
}

/** The smallest number of at least `value` that is 1, 2 or 5 times a power of ten; 1 for 0. */
function niceCeiling(value: number): number {
  if (!(value > 0)) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 5, 10].map(factor => factor * power).find(nice => nice >= value)!
}

function part(tag: string, attributes: Record<string, string | number>): SVGElement {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value))
  return element
}

function text(attributes: Record<string, string | number>, content: string): SVGElement {
  const element = part('text', attributes)
  element.textContent = content
  return element
}
