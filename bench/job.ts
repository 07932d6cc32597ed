import type { Architecture } from '../lib/model/architectures.js'

export type Work =
  | 'prepare'
  | 'quantize'
  | 'inference'
  | 'training'
  | 'start'
  | 'loading'
  | 'concurrent'
  | 'idle'
  | 'epoch'
  | 'decode'
  | 'limit'
  | 'serve'
  | 'distributed'

/** The job of a peer, as JSON in its first argument. */
export interface Job {
  /** Also the name of the peer's program. */
  work: Work
  network: Architecture
  batch: number
  /** Height and width of the images, in pixels. */
  size: number
  dtype: 'float32' | 'bfloat16' | 'int8'
  threads: number
  /** `cpu` or `cuda`: the first GPU. */
  device: 'cpu' | 'cuda'
  /** One of a peer's setups: see peer.ts. */
  setup: string
  /** The benchmark's cache, and the files in it: weights, ONNX graph, normal noise as float32, photographs. */
  folder: string
  weights: string
  graph: string
  noise: string
  photo: string
  photos: string[]
  /** A folder of photographs to train on: see photos.ts. */
  data: string
  /** The part of the work, if it has several. */
  task: string
  /** The duration of one measurement, unless the peer decides. */
  seconds: number
}
