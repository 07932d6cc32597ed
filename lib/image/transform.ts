import type { NativeTransform } from '../native/native.js'
import type { Rect } from '../native/operation.js'
import type { Preprocessing } from './preprocessing.js'
import { roundHalfToEven } from './round.js'
import { type Size, toSize } from './size.js'

/** The transform of evaluation and prediction for an image of this size. */
export function evalTransform(preprocessing: Preprocessing, size: Size): NativeTransform {
  const { resize, interpolation: filter, mode, fill } = preprocessing
  const { width, height } = size
  const input = toSize(preprocessing.crop)
  const target = [input.width, input.height] as const
  const from: Rect = [0, 0, width, height]
  if (mode === 'squish') return [{ op: 'resize', from, size: target, crop: [0, 0, ...target], filter }]
  if (mode === 'pad' || mode === 'letterbox') {
    const scale = Math.min(input.width / width, input.height / height)
    const round = mode === 'pad' ? Math.round : Math.floor // as int() in Python
    const fitted = [width, height].map(side => Math.max(1, round(side * scale))) as [number, number]
    const at = target.map((side, axis) => (side - fitted[axis]!) >> 1) as [number, number]
    return [
      { op: 'resize', from, size: fitted, crop: [0, 0, ...fitted], filter },
      { op: 'pad', size: target, at, fill },
    ]
  }
  const resized = typeof resize === 'number' ? resizeShorter(size, resize) : ([resize[1], resize[0]] as const)
  const [left, top] = resized.map((side, axis) => roundHalfToEven((side - target[axis]!) / 2)) as [
    number,
    number,
  ]
  return [{ op: 'resize', from, size: resized, crop: [left, top, ...target], filter }]
}

/** torchvision's Resize of the shorter side (transforms/functional.py: _compute_resized_output_size). */
function resizeShorter({ width, height }: Size, shorter: number): [number, number] {
  const longer = Math.trunc((shorter * Math.max(width, height)) / Math.min(width, height))
  return width <= height ? [shorter, longer] : [longer, shorter]
}
