import { readFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { ZipFile } from 'yazl'

/**
 * An archive that looks like LibTorch's: a small shared library under all its names. It can be found, and unpacked, but
 * not loaded.
 * @param escaping the path of one more header, below `include/`, as no honest archive has it.
 */
export async function libtorchArchive(
  version: string,
  root = 'libtorch',
  escaping?: string,
): Promise<Buffer> {
  const library = await readFile('build/Release/visiontorch.node')
  const zip = new ZipFile()
  const cuda = version.includes('+cu') ? ['libc10_cuda.so', 'libtorch_cuda.so', 'libcudart.so.13'] : []
  for (const name of ['libc10.so', 'libtorch_cpu.so', 'libtorch.so', 'libtorch_python.so', ...cuda])
    zip.addBuffer(library, `${root}/lib/${name}`, { compress: false })
  zip.addBuffer(Buffer.from(`${version}\n`), `${root}/build-version`)
  zip.addBuffer(Buffer.from('#pragma once'), `${root}/include/ATen/ATen.h`)
  if (escaping === undefined) {
    zip.end()
    return buffer(zip.outputStream)
  }
  // yazl refuses such a path, so the entry is written with another name of the same length.
  const path = `${root}/include/${escaping}`
  const harmless = path.replaceAll('..', 'xx')
  zip.addBuffer(Buffer.from('#pragma once'), harmless)
  zip.end()
  const written = (await buffer(zip.outputStream)).toString('latin1')
  return Buffer.from(written.replaceAll(harmless, path), 'latin1')
}
