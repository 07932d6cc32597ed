import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { removeTemporaryFolders, temporaryFolder, writeFiles } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'
import { freePort } from '../support/port.js'
import { skip } from '../support/skip.js'
import { isInstalled, NO_SLURM, Slurm } from '../support/slurm.js'
import { tensorHashes } from '../support/tensors.js'

const run = promisify(execFile)
const repository = join(import.meta.dirname, '../..')
const visiontorch = 'node_modules/.bin/visiontorch'

/** Waits for 90 seconds at most, so that a job that hangs fails the test instead of keeping mocha alive. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 90_000
  while (!(await holds())) {
    assert.ok(Date.now() < end, 'the job did not get so far in 90 seconds')
    await setTimeout(20)
  }
}

describe('visiontorch train under the launchers of clusters', function () {
  this.timeout(180_000)

  const options = [
    ...['--model', 'squeezenet1_1', '--weights', 'none', '--input-size', '32', '--batch-size', '5'],
    ...['--no-report', '--schedule', 'constant', '--epochs', '12'],
  ]
  let root: string
  let photos: string
  /** A folder in which `node_modules/.bin/visiontorch` runs this checkout. */
  let project: string
  /** The same training in one process. */
  let expected: string[]
  before(async () => {
    root = await temporaryFolder()
    photos = join(root, 'photos')
    project = join(root, 'project')
    await drawPhotos(photos)
    const command = `cd '${repository}' && exec ${process.execPath} --import tsx lib/cli/main.ts "$@"`
    await writeFiles(project, { [visiontorch]: `#!/bin/sh\n${command}\n` })
    await chmod(join(project, visiontorch), 0o755)
    const alone = join(root, 'alone')
    const accumulated = ['--gradient-accumulation', '2', '--threads', '1']
    await run(visiontorch, ['train', photos, ...options, ...accumulated, '--out', alone], { cwd: project })
    expected = await tensorHashes(join(alone, 'last.pth'))
  })
  after(removeTemporaryFolders)

  it('runs under mpirun', async function () {
    if (!isInstalled('mpirun')) return skip(this, 'mpirun is not installed (openmpi-bin)')
    const directory = join(root, 'mpirun')
    const mpirun = ['-n', '2', '--oversubscribe', '--allow-run-as-root', '--mca', 'plm', 'isolated']
    const port = `MASTER_PORT=${await freePort()}`
    await run(
      'mpirun',
      [...mpirun, '-x', port, visiontorch, 'train', photos, ...options, '--threads', '1', '--out', directory],
      { cwd: project },
    )
    assert.deepEqual(await tensorHashes(join(directory, 'last.pth')), expected)
  })

  it("runs the documentation's batch script under Slurm, and goes on after a preemption", async function () {
    if (NO_SLURM !== null) return skip(this, NO_SLURM)
    const directory = join(root, 'slurm')
    const page = await readFile(join(repository, 'docs/clusters.md'), 'utf8')
    const [script] = /#!\/bin\/bash\n[^`]+/.exec(page)!
    await writeFile(
      join(project, 'job.sh'),
      script
        .replace('/data/photos', `${photos} ${options.join(' ')}`)
        .replace('/home/$USER/runs/photos', directory),
    )
    const slurm = await Slurm.start(join(root, 'cluster'))
    const output = join(root, 'slurm.log')
    try {
      const place = { cwd: project, env: slurm.env }
      const size = ['--nodes=1', '--ntasks-per-node=2', '--cpus-per-task=1']
      const { stdout } = await run(
        'sbatch',
        [...size, `--output=${output}`, '--open-mode=append', '--parsable', 'job.sh'],
        place,
      )
      const job = stdout.trim()
      await until(() => existsSync(join(directory, 'metrics.jsonl')))
      await run('scancel', ['--signal=TERM', job], place) // as before a preemption or the time limit
      const state = async () => (await run('scontrol', ['--oneliner', 'show', 'job', job], place)).stdout
      await until(async () => /JobState=(COMPLETED|FAILED)/.test(await state()))
      const log = await readFile(output, 'utf8')
      assert.match(await state(), /JobState=COMPLETED .*Restarts=1 /, log)
      assert.match(log, /saved .*last\.pth; continue with/)
    } finally {
      await slurm.stop()
    }
    assert.deepEqual(await tensorHashes(join(directory, 'last.pth')), expected)
  })
})
