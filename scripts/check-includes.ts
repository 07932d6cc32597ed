// Checks that folders of native/ include each other in one direction only, so that there are no circles between them.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What each folder may include besides itself: only folders that stand above it here. */
const allowed: Record<string, string[]> = {
  runtime: [],
  kernels: ['runtime'],
  nn: ['runtime'],
  ops: ['kernels', 'nn', 'runtime'],
  autograd: ['ops', 'kernels', 'nn', 'runtime'],
  eager: ['autograd', 'nn', 'runtime'],
  image: ['runtime'],
  checkpoint: ['nn', 'runtime'],
  distributed: ['nn', 'runtime'],
  infer: ['eager', 'ops', 'nn', 'runtime'],
  train: ['eager', 'checkpoint', 'distributed', 'nn', 'runtime'],
  model: ['train', 'infer', 'checkpoint', 'nn', 'runtime'],
  binding: ['model', 'train', 'infer', 'image', 'checkpoint', 'distributed', 'nn', 'kernels', 'runtime'],
}

const folders = Object.keys(allowed)
const problems: string[] = []
for (const [folder, included] of Object.entries(allowed))
  for (const other of included)
    if (folders.indexOf(other) >= folders.indexOf(folder))
      problems.push(`scripts/check-includes.ts: ${folder} may not list ${other}, which stands below it`)

for (const name of readdirSync('native', { recursive: true, encoding: 'utf8' })) {
  const folder = name.split('/')[0]!
  if (!/\.(cc|h)$/.test(name) || !name.includes('/')) continue
  if (!folders.includes(folder)) {
    problems.push(`native/${name}: add its folder to scripts/check-includes.ts`)
    continue
  }
  for (const [, other] of readFileSync(join('native', name), 'utf8').matchAll(/^#include "(\w+)\//gm))
    if (other !== folder && !allowed[folder]!.includes(other!))
      problems.push(
        `native/${name} includes ${other}/, which ${folder}/ must not depend on: see scripts/check-includes.ts`,
      )
}
for (const problem of problems) console.error(problem)
process.exit(problems.length === 0 ? 0 : 1)
