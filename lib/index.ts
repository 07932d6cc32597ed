export { fromAnnotations } from './data/annotations.js'
export type { Dataset, DatasetOptions, Sample } from './data/dataset.js'
export { ImageFolder, type ImageFolderOptions } from './data/image-folder.js'
export { type ErrorCode, VisionTorchError } from './errors.js'
