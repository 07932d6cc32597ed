/** An archive of LibTorch that PyTorch publishes. */
export interface PinnedArchive {
  sha256: string
  /** Its exact size in bytes. */
  maxBytes: number
}

/**
 * The archives of `https://download.pytorch.org/libtorch` whose hashes are known, by file name: the builds that
 * visiontorch supports. PyTorch publishes no hashes of its own; these are pinned in the same way by several other
 * projects (Spack among them).
 */
export const ARCHIVES: Readonly<Record<string, PinnedArchive>> = {
  'libtorch-shared-with-deps-2.13.0+cpu.zip': {
    sha256: 'edbf4cbed78433d803e90a65f1752e57783d164bce66c95c0872b2ab8f5c159e',
    maxBytes: 126_385_248,
  },
  'libtorch-shared-with-deps-2.13.0+cu130.zip': {
    sha256: '945c5a3d946a28b387ad9dc9fddda7ba03e35fae1375b84ebff15df789436f82',
    maxBytes: 500_687_821,
  },
}
