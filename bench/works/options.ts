import type { Architecture } from '../../lib/model/architectures.js'
import type { Job } from '../job.js'

/** The networks that a work measures by default, unless it takes too long for all. */
export const networks: readonly Architecture[] = [
  'resnet50',
  'mobilenet_v2',
  'vgg16',
  'mobilenet_v3_large',
  'efficientnet_b0',
  'regnet_y_800mf',
  'densenet121',
  'convnext_tiny',
  'vit_b_16',
  'swin_t',
]

export interface Options {
  network?: readonly Architecture[]
  batch?: number[]
  connections?: number[]
  dtype: Job['dtype'][]
  rounds: number
  threads: number
  device: Job['device']
  images: number
  compile: boolean
  tfjs: boolean
}

/** The device in a cell's title; empty for the CPU. */
export const onDevice = (device: Job['device']): string => (device === 'cpu' ? '' : `, ${device}`)
