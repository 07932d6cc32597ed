import type { MachineReport } from '../doctor/machine.js'
import { describeAttempt } from '../libtorch/explain.js'
import { color, fail, formatBytes, note, print } from './terminal.js'

/** Prints a readable description of the machine and of the LibTorch on which visiontorch runs. */
export function printMachineReport(report: MachineReport): void {
  const { cpu, addon, runtime, places, job } = report
  const lines: [string, string][] = [
    ['visiontorch', report.visiontorch],
    ['Node', report.node],
    ['platform', report.platform],
    [
      'processor',
      `${cpu.model}, ${cpu.cores} cores (${cpu.features.join(' ') || 'no AVX2'}), ${formatBytes(report.memory)} of memory`,
    ],
    ['addon', addon ? `${addon.path}, built against LibTorch ${addon.libtorchVersion}` : 'none'],
  ]
  if (runtime !== null) {
    lines.push(
      ['LibTorch', `${runtime.libtorchVersion}, ${runtime.libtorchPath}`],
      [
        'CPU',
        `${runtime.threads} threads, kernels for ${runtime.kernels}${runtime.bfloat16 ? '' : ', no bfloat16'}`,
      ],
      [
        'CUDA',
        runtime.cuda
          ? `${runtime.cudaDevices} device(s)${runtime.cudnnFusion === 'unsupported' ? ', some convolutions not fused' : ''}`
          : `no device${report.nvidiaDriver ? '' : ', no NVIDIA driver'}`,
      ],
    )
  }
  if (job !== null) {
    const { launcher, rank, worldSize, localRank, masterAddress, masterPort, restart } = job
    lines.push([
      'job',
      `rank ${rank} of ${worldSize}, process ${localRank} of this machine, rank 0 at ${masterAddress}:${masterPort} ` +
        `(${launcher === 'environment' ? 'RANK, WORLD_SIZE' : launcher}${restart > 0 ? `, restart ${restart}` : ''})`,
    ])
  }
  const width = Math.max(...lines.map(([name]) => name.length))
  for (const [name, value] of lines) print(`${color.bold(name.padEnd(width))}  ${value}`)
  if (runtime !== null && places.length > 1) {
    print('\nVisiontorch looked for LibTorch in this order:')
    for (const attempt of places)
      print(`  ${describeAttempt(attempt)}${attempt.refused === null ? color.green('  used') : ''}`)
  }
  for (const line of report.advice) note(line)
  if (report.error !== null) fail(report.error.message)
}
