import { readFileSync } from 'node:fs'
import type { NetworkOptions } from '../native/native.js'
import { check, closest, refuse } from '../util/is.js'
import { weightsFiles } from '../util/package.js'
import { withoutAlias } from './aliases.js'

/** A checkpoint that torchvision publishes, as described in `weights/manifest.json`. */
export interface OfficialWeights {
  /** torchvision's name of the network: `resnet50`. */
  architecture: string
  /** torchvision's name of the weights: `IMAGENET1K_V2`. */
  name: string
  /** Whether torchvision's `DEFAULT` stands for these weights. */
  default: boolean
  url: string
  /** The SHA-256 of the file in hexadecimal digits: all 64 if known, otherwise the first 8 or more. */
  sha256: string
  /** The exact size in bytes, if known. */
  bytes: number | null
  /** The size in MiB, rounded to three places; null if unknown. */
  mebibytes: number | null
  container: 'zip' | 'legacy' | 'tar' | null
  /** Null if the file has no usable classifier (VGG16's features alone). */
  numClasses: number | null
  parameterCount: number
  /** Multiply-adds for one image, in billions. */
  multiplyAdds: number
  /** The accuracy on ImageNet's validation images, in percent; null if torchvision publishes none. */
  accuracy: { top1: number; top5: number } | null
  preprocessing: {
    resize: number
    crop: number
    interpolation: 'bilinear' | 'bicubic'
    mean: [number, number, number]
    std: [number, number, number]
  }
  /** Options of the network's constructor that torchvision sets for these weights. */
  networkOptions: NetworkOptions
  /** The URL of these weights' own licence, if torchvision names one. */
  license: string | null
}

const readJson = <T>(path: string): T => JSON.parse(readFileSync(path, 'utf8')) as T

let weights: readonly OfficialWeights[] | undefined
let classes: readonly string[] | undefined

/** Lists the official checkpoints of one architecture, or all of them. */
export function listWeights(architecture?: string): readonly OfficialWeights[] {
  if (architecture !== undefined) check.string('architecture', architecture)
  weights ??= readJson<{ weights: OfficialWeights[] }>(weightsFiles().manifest).weights
  return architecture === undefined ? weights : weights.filter(entry => entry.architecture === architecture)
}

/** The names of ImageNet's 1000 classes, in the order of the official classifiers' outputs. */
export function imagenetClasses(): readonly string[] {
  classes ??= readJson<string[]>(weightsFiles().classes)
  return classes
}

/**
 * The official weights of a name.
 * @param name `DEFAULT` or torchvision's name, in any case: `IMAGENET1K_V1`.
 * @param option The option that errors name.
 * @throws ERR_INVALID_ARGUMENT if the architecture has no weights of that name.
 */
export function resolveWeights(architecture: string, name: string, option = 'weights'): OfficialWeights {
  const known = listWeights(withoutAlias(architecture))
  if (known.length === 0) check.oneOf('architecture', architecture, architectures())
  const wanted = check.string(option, name).toUpperCase()
  const found = known.find(entry => (wanted === 'DEFAULT' ? entry.default : entry.name === wanted))
  if (found !== undefined) return found
  return check.oneOf(option, name, ['DEFAULT', ...known.map(entry => entry.name)]) as never
}

/**
 * The official weights that a command line names: an architecture (its `DEFAULT`), `resnet50.IMAGENET1K_V1`, or a file
 * name (`resnet50-0676ba61.pth`).
 * @param option The option that errors name.
 * @throws ERR_INVALID_ARGUMENT for an unknown name, with the most similar one.
 */
export function findWeights(name: string, option = 'weights'): OfficialWeights {
  const byFile = findFile(name)
  if (byFile !== undefined) return byFile
  const [given = '', weightsName] = name.split('.', 2)
  const architecture = withoutAlias(given)
  if (architectures().includes(architecture))
    return resolveWeights(architecture, weightsName ?? 'DEFAULT', option)
  const near = closest(name, [...architectures(), ...listWeights().map(fullName)])
  throw refuse(
    `${option}: expected a name that 'visiontorch weights list' shows, got '${name}'${near === undefined ? '' : `. Did you mean '${near}'?`}`,
    option,
  )
}

/** The official weights that are published under a file name, if there are any. */
export const findFile = (name: string): OfficialWeights | undefined =>
  listWeights().find(entry => fileName(entry) === name)

/**
 * The preprocessing of a network whose weights do not specify it: that of torchvision's `IMAGENET1K_V1`, or the one
 * for the smallest images.
 */
export function usualPreprocessing(architecture: string): OfficialWeights['preprocessing'] | undefined {
  const known = listWeights(architecture)
  const first = known.find(({ name }) => name === 'IMAGENET1K_V1')
  const smallest = [...known].sort((a, b) => a.preprocessing.crop - b.preprocessing.crop)[0]
  return (first ?? smallest)?.preprocessing
}

/** The name of weights on the command line: `resnet50.IMAGENET1K_V2`. */
export const fullName = ({ architecture, name }: OfficialWeights): string => `${architecture}.${name}`

/** The file name of weights: `resnet50-11ad3fa6.pth`. */
export const fileName = ({ url }: OfficialWeights): string => url.slice(url.lastIndexOf('/') + 1)

const architectures = (): string[] => [...new Set(listWeights().map(entry => entry.architecture))]
