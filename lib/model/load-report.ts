import { type LoadReport, type NativeCheckpoint, native } from '../native/native.js'
import { VisionTorchError } from '../util/errors.js'
import { closest } from '../util/is.js'
import { printable } from '../util/text.js'
import { type Architecture, classifierLayer, listArchitectures } from './architectures.js'

/** The network that a report is checked against. */
export interface Expectation {
  path: string
  checkpoint: NativeCheckpoint
  architecture: Architecture
  /** Refuse missing, unexpected and mismatched tensors; otherwise refuse only a file in which nothing fits. */
  strict: boolean
  /** Any number of classes fits, because the network has none of its own yet. */
  anyClasses?: boolean
  /** The classifier may be missing or have another number of classes, because it will be new. */
  newClassifier?: boolean
}

/** @throws ERR_CHECKPOINT_MISMATCH, which names what does not fit, the most similar key or network, and a remedy. */
export async function checkReport(report: LoadReport, expected: Expectation): Promise<void> {
  const problems = differences(report, expected)
  if (report.loaded.length > 0 && (!expected.strict || problems.length === 0)) return
  const { path, architecture, checkpoint } = expected
  const other = await fittingArchitecture(checkpoint, architecture)
  const remedy =
    other !== undefined
      ? `These look like the weights of ${other}: name that network`
      : report.loaded.length === 0
        ? 'Name the network that the file was saved from'
        : report.head.length > 0
          ? 'Load the rest with strict: false, and train a new classifier'
          : 'Name the network and the options that the file was saved from, or load what fits with strict: false'
  throw new VisionTorchError(
    'ERR_CHECKPOINT_MISMATCH',
    `${path}: expected the weights of ${architecture}, but ${describe(problems, report, expected)}. ${remedy}`,
    { options: ['strict'] },
  )
}

/** Whether a tensor of the network belongs to its classifier, which has three layers in VGG. */
const inClassifier = (architecture: Architecture, name: string): boolean =>
  name.startsWith(`${classifierLayer(architecture).split('.')[0]}.`)

function differences(report: LoadReport, expected: Expectation): string[] {
  const { architecture, anyClasses = false, newClassifier = false } = expected
  const last = `${classifierLayer(architecture)}.`
  const fitsAnyhow = anyClasses && report.numClasses !== null
  const matters = (name: string) =>
    !(fitsAnyhow && name.startsWith(last)) && !(newClassifier && inClassifier(architecture, name))
  const near = (name: string) => {
    const found = report.unexpected.length <= 1000 ? closest(name, report.unexpected) : undefined
    return found === undefined ? '' : ` (the file has ${found})`
  }
  return [
    ...report.mismatched
      .filter(({ name }) => matters(name))
      .map(({ name, expected, got }) => `${name} is ${shape(got)} and not ${shape(expected)}`),
    ...report.missing.filter(matters).map(name => `${name} is missing${near(name)}`),
    ...report.unexpected.map(name => `${name} is unexpected`),
  ]
}

function describe(
  problems: readonly string[],
  report: LoadReport,
  { checkpoint, architecture }: Expectation,
): string {
  if (report.loaded.length === 0 && report.mismatched.length === 0) {
    const { tensors } = checkpoint.inspect()
    const keys = tensors.slice(0, 3).map(({ name }) => printable(name, 80))
    const more = tensors.length > 3 ? ', ...' : ''
    return tensors.length === 0
      ? 'the file holds no tensors'
      : `none of its tensors are among the ${tensors.length} of the file (${keys.join(', ')}${more})`
  }
  if (report.head.length > 0) {
    const layers = report.head.map(({ name, shape: sizes }) => `${name} (${shape(sizes)})`)
    return `its classifier is one linear layer (${classifierLayer(architecture)}), and that of the file is ${layers.join(', ')}`
  }
  const more = problems.length > 3 ? `, and ${problems.length - 3} more` : ''
  return problems.slice(0, 3).join(', ') + more
}

const shape = (sizes: number[]) => (sizes.length === 0 ? 'a scalar' : sizes.join('x'))

/** Another network whose tensors are exactly those of the file, except for the classifier's outputs. */
async function fittingArchitecture(
  checkpoint: NativeCheckpoint,
  architecture: Architecture,
): Promise<Architecture | undefined> {
  if (checkpoint.inspect().tensors.length > 5000) return undefined // not worth the time
  for (const other of listArchitectures()) {
    if (other === architecture) continue
    const report = await native().matchWeights(checkpoint, other, {}, { averaged: true, classifier: 'whole' })
    const expected = { path: '', checkpoint, architecture: other, strict: true, anyClasses: true }
    if (report.numClasses !== null && differences(report, expected).length === 0) return other
  }
  return undefined
}
