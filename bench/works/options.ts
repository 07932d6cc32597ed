import type { Architecture } from '../../lib/architectures.js'
import type { Job } from '../job.js'

export interface Options {
  network: Architecture[]
  batch?: number[]
  dtype: Job['dtype'][]
  rounds: number
  threads: number
  images: number
  compile: boolean
  tfjs: boolean
}
