/** A file that is read in pieces. */
export interface BinaryFile {
  /** The size of the file in bytes. */
  size: number
  /** Reads up to `length` bytes from `position`. */
  read(position: number, length: number): Buffer
}
