import type { Architecture } from '../lib/model/architectures.js'

export type Work =
  | 'prepare'
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

/** What a peer is told to do, as JSON in its first argument. */
export interface Job {
  /** Also the name of the peer's program. */
  work: Work
  network: Architecture
  batch: number
  /** Height and width of the images, in pixels. */
  size: number
  dtype: 'float32' | 'bfloat16'
  threads: number
  /** `cpu` or `cuda`: the first GPU. */
  device: 'cpu' | 'cuda'
  /** One of a peer's ways: see peer.ts. */
  setup: string
  /** The benchmark's cache, and what lies there: weights, normal noise as float32, a photograph, many photographs. */
  folder: string
  weights: string
  noise: string
  photo: string
  photos: string[]
  /** A folder of photographs to train on: see photos.ts. */
  data: string
  /** What of the work is meant, where there are several. */
  task: string
  /** How long one measurement lasts, where that is not left to the peer. */
  seconds: number
}
