import { readFileSync } from 'node:fs'
import type { NetworkOptions } from '../../lib/native/native.js'
import { skip } from './skip.js'

/** test/reference/networks.py: torchvision's networks. */
interface Fixture {
  structure: Record<string, Structure>
  initial: {
    architecture: string
    numClasses: number
    seed: number
    options: NetworkOptions
    sha256: string
  }[]
}

/** With 10 classes. */
export interface Structure {
  /** SHA-256 of the state dict's names, shapes and types. */
  sha256: string
  parameters: number
  seed: number
  /** SHA-256 of the initial tensors with that seed, or null if it is not known for this processor. */
  initial: string | null
  /** Of the official weights, for their number of classes. */
  published: { inputSize: number; parameters: number; multiplyAdds: number }
}

export const fixture: Fixture = JSON.parse(
  readFileSync(new URL('../fixtures/networks.json', import.meta.url), 'utf8'),
)

/** On Arm, PyTorch draws other numbers from the normal distribution: SHA-256 of the initial tensors there, if known. */
if (process.arch === 'arm64') {
  const { initial } = JSON.parse(
    readFileSync(new URL('../fixtures/networks-arm64.json', import.meta.url), 'utf8'),
  )
  for (const [name, structure] of Object.entries(fixture.structure)) structure.initial = initial[name] ?? null
}

/** Skips a test whose initial weights of PyTorch for Arm are not known. */
export function skipIfUnknown(context: Mocha.Context, initial: string | null): void {
  if (initial === null) skip(context, 'the initial weights of PyTorch for Arm are not in the fixture')
}

/** Skips a test that is slow for a network of this size, unless requested by `npm test -- --large`. */
export function skipIfLarge(context: Mocha.Context, architecture: string): void {
  const { parameters } = fixture.structure[architecture]!
  if (parameters > 1e8 && !process.env.VISIONTORCH_TEST_LARGE)
    skip(context, 'more than 100 million parameters (npm test -- --large)')
}
