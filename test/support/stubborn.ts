// A command that ignores the first Ctrl-C while it shows a progress bar.
import { interruptSignal } from '../../lib/cli/interrupt.js'
import { note, progress } from '../../lib/cli/terminal.js'

const signal = interruptSignal()
const bar = progress('working', 100)
note('ready')
for (let i = 0; ; i = (i + 1) % 100) {
  bar.update(i, signal.aborted ? 'aborted' : '')
  await new Promise(resolve => setTimeout(resolve, 20))
}
