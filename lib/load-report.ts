import { type Architecture, classifierLayer } from './architectures.js'
import { VisionTorchError } from './errors.js'
import type { LoadReport } from './native.js'

/**
 * @internal Refuses what loading found, unless it is what was asked for: with `strict`, missing, unexpected and
 * mismatched tensors; in any case a file of which nothing fits.
 * @param options.newClassifier Another number of classes was asked for: the classifier may differ, or be missing.
 */
export function checkReport(
  report: LoadReport,
  options: { path: string; architecture: Architecture; strict: boolean; newClassifier?: boolean },
): void {
  const { path, architecture, strict, newClassifier = false } = options
  const classifier = `${classifierLayer(architecture).split('.')[0]}.`
  const matters = (name: string) => !(newClassifier && name.startsWith(classifier))
  const problems = [
    ...report.mismatched
      .filter(({ name }) => matters(name))
      .map(({ name, expected, got }) => `${name} is ${shape(got)} and not ${shape(expected)}`),
    ...report.missing.filter(matters).map(name => `${name} is missing`),
    ...report.unexpected.map(name => `${name} is unexpected`),
  ]
  if (report.loaded.length > 0 && (!strict || problems.length === 0)) return
  const shown = problems.slice(0, 3).join(', ')
  const more = problems.length > 3 ? `, and ${problems.length - 3} more` : ''
  throw new VisionTorchError(
    'ERR_CHECKPOINT_MISMATCH',
    `${path}: expected the weights of ${architecture}, but ${shown}${more}. ` +
      `Name the network that the file was saved from${strict && report.loaded.length > 0 ? ', or load what fits with strict: false' : ''}`,
    { options: ['strict'] },
  )
}

const shape = (sizes: number[]) => (sizes.length === 0 ? 'a scalar' : sizes.join('x'))
