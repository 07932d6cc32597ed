import { readFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { ZipFile } from 'yazl'

/**
 * An archive that looks like LibTorch's: a small shared library under all its names. It can be found, and unpacked, but
 * not loaded.
 */
export async function libtorchArchive(version: string, root = 'libtorch'): Promise<Buffer> {
  const library = await readFile('build/Release/visiontorch.node')
  const zip = new ZipFile()
  const cuda = version.includes('+cu') ? ['libc10_cuda.so', 'libtorch_cuda.so', 'libcudart.so.13'] : []
  for (const name of ['libc10.so', 'libtorch_cpu.so', 'libtorch.so', 'libtorch_python.so', ...cuda])
    zip.addBuffer(library, `${root}/lib/${name}`, { compress: false })
  zip.addBuffer(Buffer.from(`${version}\n`), `${root}/build-version`)
  zip.addBuffer(Buffer.from('#pragma once'), `${root}/include/ATen/ATen.h`)
  zip.end()
  return buffer(zip.outputStream)
}
