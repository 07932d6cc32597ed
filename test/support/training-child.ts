// A separate process, because a process chooses its kernels once. Prints the failed training cases, by title.
import { checkTraining, trainingCases } from './training-cases.js'

const failed: Record<string, string> = {}
for (const name of trainingCases) {
  await checkTraining(name).catch((error: Error) => {
    failed[name] = error.message
  })
}
process.stdout.write(JSON.stringify(failed))
