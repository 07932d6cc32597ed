/** A file that is read a piece at a time. */
export interface BinaryFile {
  /** In bytes. */
  size: number
  /** Up to `length` bytes from `position`. */
  read(position: number, length: number): Buffer
}
