import { VisionTorchError } from '../util/errors.js'
import { check, invalid, is } from '../util/is.js'
import { native, type RuntimeInfo } from './native.js'

/** Where a network computes: `auto` is the first CUDA device if there is one, otherwise the CPU. */
export type Device = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`

/** Describes the loaded LibTorch, its threads and its devices. Throws if LibTorch or the addon cannot be loaded. */
export function runtimeInfo(): RuntimeInfo {
  return native().runtimeInfo()
}

/** Sets how many threads one operation uses on the CPU, for the whole process; from 1 to 1024. */
export function setThreads(threads: number): void {
  native().setThreads(check.integer('threads', threads, 1, 1024))
}

const devices = /^(?:(auto|cpu)|cuda(?::(\d+))?)$/

/** @internal Whether this names a device, which need not exist on this machine. */
export const isDevice = (text: string): text is Device => devices.test(text)

/** @internal The device's name for LibTorch: `cpu` or `cuda:N`; throws `ERR_DEVICE` if it does not exist. */
export function resolveDevice(device: unknown, info: Pick<RuntimeInfo, 'cuda' | 'cudaDevices'>): string {
  const match = is.string(device) ? devices.exec(device) : null
  if (match === null) throw invalid('device', "'auto', 'cpu', 'cuda' or 'cuda:N'", device)
  if (match[1] === 'cpu' || (match[1] === 'auto' && !info.cuda)) return 'cpu'
  if (!info.cuda) {
    throw new VisionTorchError(
      'ERR_DEVICE',
      `device '${device}': LibTorch finds no CUDA device. Use 'cpu' or 'auto', or install NVIDIA's driver and a CUDA ` +
        'build of LibTorch (npx visiontorch libtorch install cu130). npx visiontorch doctor shows what is installed',
    )
  }
  const index = Number(match[2] ?? 0)
  if (index >= info.cudaDevices) {
    const last = info.cudaDevices - 1
    throw new VisionTorchError(
      'ERR_DEVICE',
      `device '${device}': there ${last === 0 ? 'is only cuda:0' : `are cuda:0 to cuda:${last}`} here`,
    )
  }
  return `cuda:${index}`
}
