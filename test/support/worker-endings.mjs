// node worker-endings.mjs FOLDER ROUNDS: ends worker threads while tasks of the addon are running, and says which.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { repeat, tasks, writeFiles } from './ending-tasks.mjs'

if (isMainThread) await endAll(...process.argv.slice(2))
else await work(workerData)

async function endAll(folder, rounds) {
  await writeFiles(folder)
  const names = Object.keys(tasks)
  for (const name of names) await endSome({ folder, names: [name], way: 'terminate()' }, Number(rounds))
  for (const way of ['process.exit()', 'an uncaught error'])
    await endSome({ folder, names, way }, Number(rounds))
}

/** Ends this many workers, four at a time. */
async function endSome(job, rounds) {
  const ended = [0, 1, 2, 3].map(async lane => {
    for (let round = lane; round < rounds; round += 4) await end({ ...job, round })
  })
  await Promise.all(ended)
  console.log(`${rounds} workers ended by ${job.way}: ${job.names.join(', ')}`)
}

/** Ends one worker, `round` milliseconds after its tasks started. */
function end(job) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: job })
    if (job.way === 'terminate()') worker.on('message', () => setTimeout(() => worker.terminate(), job.round))
    worker.on('error', error => {
      if (error.message !== 'the end') reject(error)
    })
    worker.on('exit', resolve)
  })
}

async function work({ folder, names, way, round }) {
  const started = await Promise.all(names.map(name => tasks[name](folder, round)))
  parentPort.postMessage('ready')
  setTimeout(() => {
    if (way === 'process.exit()') process.exit()
    if (way === 'an uncaught error') throw new Error('the end')
  }, round)
  await Promise.all(started.map(repeat))
}
