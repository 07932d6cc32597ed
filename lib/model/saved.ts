import type { CheckpointValue, NativeCheckpoint } from '../native/native.js'

type Metadata = Map<CheckpointValue, CheckpointValue>

/** @internal The key of a safetensors file's metadata in the values that the addon reads and writes. */
export const METADATA = '__metadata__'
/** The entry of this metadata, whose values are strings, that holds the values of a `.pth` file of ours as JSON. */
const OURS = 'visiontorch'

/**
 * @internal What a file says besides its tensors: the values in a `.pth` file, or the metadata of a safetensors file of
 * ours.
 */
export function savedMetadata(checkpoint: NativeCheckpoint): Metadata {
  const { metadata } = checkpoint.inspect()
  if (!(metadata instanceof Map)) return new Map()
  if (checkpoint.container !== 'safetensors') return metadata
  const strings = metadata.get(METADATA)
  const json = strings instanceof Map ? strings.get(OURS) : undefined
  if (typeof json !== 'string') return new Map()
  try {
    const value = fromJson(JSON.parse(json))
    return value instanceof Map ? value : new Map()
  } catch {
    return new Map() // Another program wrote it.
  }
}

/** @internal The values that a model's `.pth` file holds besides its weights, in the form that a safetensors file can hold. */
export const safetensorsMetadata = (metadata: Map<string, CheckpointValue>): Map<string, CheckpointValue> =>
  new Map([[METADATA, new Map(Object.entries({ format: 'pt', [OURS]: JSON.stringify(toJson(metadata)) }))]])

const toJson = (value: CheckpointValue): unknown =>
  value instanceof Map
    ? Object.fromEntries([...value].map(([key, item]) => [key, toJson(item)]))
    : Array.isArray(value)
      ? value.map(toJson)
      : value

function fromJson(value: unknown): CheckpointValue {
  if (Array.isArray(value)) return value.map(fromJson)
  if (typeof value !== 'object' || value === null) return value as CheckpointValue
  return new Map(Object.entries(value).map(([key, item]) => [key, fromJson(item)]))
}
