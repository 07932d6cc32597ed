import { inTurns } from '../measure.js'
import { type Answer, once, type PeerName } from '../peer.js'
import { photoFolder } from '../photos.js'
import { beginCell, type Row, show, spread } from '../result.js'
import type { Options } from './options.js'

const names: PeerName[] = ['visiontorch', 'cache', 'in memory', '2 workers', '0 workers']

/**
 * Two epochs from JPEG files with the default augmentation, compared with torchvision's DataLoader in a tuned process with a
 * fused optimizer.
 */
export async function epoch({
  network = ['resnet50', 'mobilenet_v2'],
  batch,
  dtype,
  rounds,
  threads,
  images,
}: Options): Promise<void> {
  const { data } = await photoFolder(500, 375, images)
  for (const name of network)
    for (const type of dtype)
      for (const size of batch ?? [32]) {
        const task = { work: 'epoch', network: name, batch: size, dtype: type, data, threads } as const
        const title = `${name}, batch ${size}, ${type}, ${images} JPEGs of 500 x 375`
        const ends = ['first', 'second'].map(which => beginCell(`${which} epoch of ${title}`))
        const answers = await inTurns(names, rounds, async peer => {
          await once(peer, task) // the first peer pays for memory that another peer left: on a virtual machine, seconds of page faults
          return once<Answer>(peer, task)
        })
        for (const [epoch, end] of ends.entries()) {
          const rows: Record<string, Row> = {}
          for (const [peer, all] of answers) {
            const times = all.map(answer => answer.times[epoch]!)
            const figures = {
              'images/s': (1000 * images) / spread(times).median,
              'peak MiB': spread(all.map(({ peak }) => peak)).median,
            }
            rows[peer] = { times, figures }
          }
          show(end(rows))
        }
      }
}
