import { checkPreprocessing, type Preprocessing } from '../image/preprocessing.js'
import type { NetworkOptions } from '../native/native.js'
import { VisionTorchError } from '../util/errors.js'
import { is } from '../util/is.js'
import { printable } from '../util/text.js'
import { imagenetClasses } from './manifest.js'
import { fromTimm } from './timm.js'

/** What a repository's `config.json` says about its weights; a value that it lacks is undefined. */
export interface HubConfig {
  /** torchvision's name of the network. */
  architecture: string | undefined
  /** Options of its constructor, for it to compute the same. */
  networkOptions: NetworkOptions
  classes: readonly string[] | undefined
  preprocessing: Preprocessing | undefined
}

type Json = Record<string, unknown>

const LONGEST_NAME = 1000
const MOST_CLASSES = 100_000

/**
 * Reads the `config.json` of timm, or of transformers.
 * @param source The name of the repository or file, for errors.
 * @throws ERR_CHECKPOINT_UNSUPPORTED, naming a network that visiontorch does not have; ERR_CHECKPOINT_MISMATCH if the file
 *   contradicts itself.
 */
export function readHubConfig(source: string, text: string): HubConfig {
  let config: unknown
  try {
    config = JSON.parse(text)
  } catch {
    config = undefined
  }
  if (!is.object(config)) throw mismatch(source, 'its config.json is not a JSON object')
  const { architecture, architectures } = config as Json
  if (is.string(architecture)) return timmConfig(source, architecture, config as Json)
  const [network] = Array.isArray(architectures) ? architectures : []
  if (is.string(network)) {
    throw unsupported(source, `weights with the names of transformers' ${printable(network, 80)}`)
  }
  return {
    architecture: undefined,
    networkOptions: {},
    classes: classesOf(config as Json),
    preprocessing: undefined,
  }
}

function timmConfig(source: string, name: string, config: Json): HubConfig {
  const network = fromTimm(name)
  if (network === undefined) throw unsupported(source, `timm's ${printable(name, 80)}`)
  const pretrained = is.object(config.pretrained_cfg) ? (config.pretrained_cfg as Json) : {}
  return {
    architecture: network.architecture,
    networkOptions: network.options,
    classes: classesOf(config),
    preprocessing: preprocessingOf(source, pretrained),
  }
}

/** timm's `label_names` or transformers' `id2label`; ImageNet's names if there are a thousand classes without names. */
function classesOf(config: Json): readonly string[] | undefined {
  const { id2label, label_names: names, num_classes: count, pretrained_cfg: pretrained } = config
  const inPretrained = is.object(pretrained) ? (pretrained as Json).label_names : undefined
  const given = Array.isArray(names) ? names : Array.isArray(inPretrained) ? inPretrained : labels(id2label)
  const isName = (name: unknown) => is.string(name) && name.length > 0 && name.length <= LONGEST_NAME
  const isUsable =
    given !== undefined &&
    given.length > 0 &&
    given.length <= MOST_CLASSES &&
    given.every(isName) &&
    new Set(given).size === given.length &&
    (count === undefined || count === given.length)
  if (isUsable) return given as string[]
  return given === undefined && count === 1000 ? imagenetClasses() : undefined
}

function labels(id2label: unknown): unknown[] | undefined {
  if (!is.object(id2label)) return undefined
  const names = Object.entries(id2label as Json)
  return names.every(([id]) => /^\d{1,6}$/.test(id) && Number(id) < names.length)
    ? Array.from(names, (_, i) => (id2label as Json)[String(i)])
    : undefined
}

/**
 * timm's evaluation transform: the shorter side, or with crop_mode `squash` the whole image, is resized to the crop's size /
 * crop_pct.
 */
function preprocessingOf(source: string, config: Json): Preprocessing | undefined {
  const {
    input_size: size,
    crop_pct: part = 0.875,
    crop_mode: mode = 'center',
    interpolation,
    mean,
    std,
  } = config
  if (size === undefined) return undefined
  const [channels, height, width] = Array.isArray(size) ? size : []
  if (channels !== 3 || !is.integer(height) || !is.integer(width) || (height !== width && mode !== 'squash'))
    throw mismatch(
      source,
      "expected an input_size of [3, height, width], which is square unless crop_mode is 'squash', " +
        `got ${printable(JSON.stringify(size), 80)}`,
    )
  if (!is.number(part) || !(part > 0 && part <= 1))
    throw mismatch(source, `expected a crop_pct above 0 and up to 1, got ${printable(String(part), 80)}`)
  if (mode !== 'center' && mode !== 'squash')
    throw mismatch(
      source,
      `its crop_mode '${printable(String(mode), 80)}' is not supported, only 'center' and 'squash'`,
    )
  try {
    return checkPreprocessing('config.json', {
      crop: [height, width],
      resize:
        mode === 'squash' ? [height, width].map(side => Math.floor(side / part)) : Math.floor(height / part),
      ...(interpolation === undefined || interpolation === 'random' ? {} : { interpolation }),
      ...(mean === undefined ? {} : { mean }),
      ...(std === undefined ? {} : { std }),
    })
  } catch (error) {
    throw mismatch(source, printable((error as Error).message, 300))
  }
}

const mismatch = (source: string, what: string) =>
  new VisionTorchError('ERR_CHECKPOINT_MISMATCH', `${source}: ${what}`)

const unsupported = (source: string, network: string) =>
  new VisionTorchError(
    'ERR_CHECKPOINT_UNSUPPORTED',
    `${source}: it holds ${network}, which visiontorch cannot load. ` +
      "docs/checkpoints.md lists timm's networks that load",
  )
