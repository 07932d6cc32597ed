import { VisionTorchError } from '../util/errors.js'
import { printable } from '../util/text.js'
import type { Group } from './group.js'

/**
 * @throws ERR_DISTRIBUTED on all ranks if the parts of one differ from those of rank 0. Names the rank and the first
 * difference.
 */
export async function checkAgreement(group: Group, parts: Readonly<Record<string, string>>): Promise<void> {
  if (group.size === 1) return
  const [first, ...others] = await group.gather(parts)
  for (const [i, other] of others.entries()) {
    for (const name of Object.keys({ ...first, ...other })) {
      const [expected, got] = [first![name], other[name]].map(value => printable(value ?? 'none'))
      if (expected === got) continue
      throw new VisionTorchError(
        'ERR_DISTRIBUTED',
        `rank ${i + 1} differs from rank 0 in ${name}: ${got}, but rank 0 has ${expected}. Start all processes with the same ` +
          'version, options and data',
      )
    }
  }
}
