export { type ErrorCode, VisionTorchError } from './errors.js'
