// gradients-child.ts FOLDER NAME ...: checks the gradients of these networks, and prints the failures by name. A process of its
// own, because a process chooses its kernels once.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkFloat32, type GradientCase } from './gradients.js'

const [folder, ...names] = process.argv.slice(2) as [string, ...string[]]
const cases: GradientCase[] = JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8'))
const failed: Record<string, string> = {}
for (const name of names) {
  await checkFloat32(folder, cases.find(each => each.name === name)!).catch((error: Error) => {
    failed[name] = error.message
  })
}
process.stdout.write(JSON.stringify(failed))
