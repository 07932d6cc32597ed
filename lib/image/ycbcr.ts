// The offsets that Pillow adds to the luma, in 64ths (src/libImaging/ConvertYCbCr.c).
const table = (factor: number) => Int32Array.from({ length: 256 }, (_, i) => factor * 64 * (i - 128) + 0.5)
const redOfCr = table(1.402)
const greenOfCb = table(-0.34414)
const greenOfCr = table(-0.71414)
const blueOfCb = table(1.772)

/** Converts YCbCr pixels, 3 bytes each, to RGB in place, as Pillow does. */
export function ycbcrToRgb(data: Uint8Array): void {
  const pixels = new Uint8ClampedArray(data.buffer, data.byteOffset, data.length)
  for (let at = 0; at < pixels.length; at += 3) {
    const [y, cb, cr] = [pixels[at]!, pixels[at + 1]!, pixels[at + 2]!]
    pixels[at] = y + (redOfCr[cr]! >> 6)
    pixels[at + 1] = y + ((greenOfCb[cb]! + greenOfCr[cr]!) >> 6)
    pixels[at + 2] = y + (blueOfCb[cb]! >> 6)
  }
}
