import type { Architecture } from '../lib/architectures.js'

/** What a peer is told to do, as JSON in its first argument. */
export interface Job {
  work: 'prepare' | 'inference' | 'training' | 'start' | 'loading'
  network: Architecture
  batch: number
  dtype: 'float32' | 'bfloat16'
  threads: number
  /** PyTorch's: stock, tuned, compile; with loading also mmap. */
  setup: string
  /** The benchmark's cache, and what lies there: the weights, float32 images, a photograph. */
  folder: string
  weights: string
  images: string
  image: string
}
