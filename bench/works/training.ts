import { sideBySide, toleranceOf } from '../measure.js'
import type { PeerName } from '../peer.js'
import { show } from '../result.js'
import { type Options, onDevice } from './options.js'

/** The number of steps after which the losses are compared. */
const before = 10

export async function training({
  network = ['resnet50'],
  batch,
  dtype,
  compile,
  rounds,
  threads,
  device,
}: Options): Promise<void> {
  const peers: PeerName[] = ['visiontorch', 'stock', 'tuned']
  if (device === 'cpu') peers.push('huge pages')
  if (compile) peers.push('compile')
  for (const name of network)
    for (const images of batch ?? [16, 32])
      for (const type of dtype) {
        const task = { work: 'training', network: name, batch: images, dtype: type, threads, device } as const
        const title = `training ${name}, batch ${images}, ${type}${onDevice(device)}`
        const tolerance = 10 * toleranceOf(type, device)
        show(await sideBySide(title, peers, task, { rounds, images, tolerance, before }))
      }
}
