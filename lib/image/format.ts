// biome-ignore-all lint/suspicious/noControlCharactersInRegex: the patterns match bytes

/** The image formats that can be decoded, by sharp's names. */
export type Format = 'jpeg' | 'bmp' | 'ppm' | 'png' | 'webp' | 'gif' | 'tiff' | 'avif'

/** The kind of a file by its first bytes: a format that can be decoded, or a description of something else. */
export type Identity = { format: Format; what?: never } | { format?: never; what: string | undefined }

/** How many bytes {@link identify} examines. */
export const START_BYTES = 4096

/** Identifies a file by its content, whatever its name. `what` is undefined if the content is unknown. */
export function identify(file: Uint8Array): Identity {
  const start = Buffer.from(file.buffer, file.byteOffset, Math.min(file.length, START_BYTES)).toString(
    'latin1',
  )
  const format = FORMATS.find(([pattern]) => pattern.test(start))?.[1]
  if (format !== undefined) return { format }
  if (start.startsWith('ftyp', 4)) return identifyBoxes(start)
  return { what: OTHERS.find(([pattern]) => pattern.test(start))?.[1] }
}

// Without the flag `s`, '.' would not match a line break; without `u`, a character is a byte.
const FORMATS: readonly (readonly [RegExp, Format])[] = [
  [/^\xff\xd8\xff/, 'jpeg'],
  [/^\x89PNG\r\n\x1a\n/, 'png'],
  [/^GIF8[79]a/, 'gif'],
  [/^RIFF.{4}WEBP/s, 'webp'],
  [/^(II[*+]\0(?!....CR)|MM\0[*+])/s, 'tiff'],
  [/^BM/, 'bmp'],
  [/^P[1-6][\t-\r ]/, 'ppm'],
]

const VECTOR = 'a vector drawing, not a photo'
const VIDEO = 'a video. Extract pictures from it first'

const OTHERS: readonly (readonly [RegExp, string])[] = [
  // Text may begin with a byte order mark and white space, and may be UTF-16, in which ASCII characters have a zero byte each.
  [/^(\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\s\0]*<\0?(!doctype html|html)/i, 'a web page: the download failed'],
  [/^(\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\s\0]*<(.*<)?\0?(!doctype\s+)?s\0?v\0?g[\s\0>:]/is, VECTOR],
  [/^(\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\s\0]*<\0?[?!a-z]/i, 'an XML document'],
  [/^\xd7\xcd\xc6\x9a|^\x01\0{3}.{36} EMF/s, VECTOR],
  [/^.{0,1024}%PDF-/s, 'a PDF document'],
  [/^(%!PS|\xc5\xd0\xd3\xc6)/, 'a PostScript document'],
  [/^AT&TFORM/, 'a DjVu document'],
  [/^\{\\rtf/, 'a text document (RTF)'],
  [/^\xd0\xcf\x11\xe0/, 'an Office document'],
  [/^8BPS/, 'a Photoshop document. Export it as PNG'],
  [/^gimp xcf/, 'a GIMP document. Export it as PNG'],
  [/^II[*+]\0....CR|^FUJIFILMCCD-RAW|^IIRO|^IIU\0/s, "a camera's raw file. Convert it to JPEG or PNG"],
  [/^(\xff\x0a|\0{3}\x0cJXL )/, 'a JPEG XL image. Convert it to JPEG or PNG'],
  [/^(\xff\x4f\xff\x51|\0{3}\x0cjP {2})/, 'a JPEG 2000 image. Convert it to JPEG or PNG'],
  [/^II\xbc/, 'a JPEG XR image. Convert it to JPEG or PNG'],
  [/^\0\0[\x01\x02]\0[^\0]/, 'a Windows icon. Convert it to PNG'],
  [/^icns/, 'a macOS icon. Convert it to PNG'],
  [/^DDS /, 'a DirectDraw surface. Convert it to PNG'],
  [/^qoif/, 'a QOI image. Convert it to PNG'],
  [/^P[7Ff][\t-\r ]/, 'a PAM or PFM image. Convert it to PNG'],
  [/^\x76\x2f\x31\x01|^#\?R(ADIANC|GB)E/, 'an image of high dynamic range. Convert it to PNG'],
  [/^SIMPLE {2}=/, 'a FITS image. Convert it to PNG'],
  [/^.{128}DICM/s, 'a DICOM image. Convert it to PNG'],
  [/^[\x8a\x8b][MJ]NG/, 'an MNG or JNG animation. Convert it to PNG'],
  [/^(\x1aE\xdf\xa3|RIFF.{4}AVI |OggS|FLV|\0\0\x01[\xb3\xba])/s, VIDEO],
  [/^(ID3|RIFF.{4}WAVE|fLaC)/s, 'a sound file'],
  [
    /^(PK[\x03\x05]|\x1f\x8b|7z\xbc\xaf|Rar!|\xfd7zXZ|BZh|\x28\xb5\x2f\xfd|.{257}ustar)/s,
    'an archive. Unpack it first',
  ],
  [/^\x89HDF/, 'an HDF5 file'],
  [/^\x93NUMPY/, 'a NumPy array'],
  [/^(\x7fELF|MZ|\xfe\xed\xfa[\xce\xcf])/, 'a program'],
  [/^SQLite format 3/, 'a database'],
  [/^[\t\n\r -~]+$/, 'text'],
]

/** Identifies a file of boxes (ISO base media) by its brands: AVIF, HEIC, or a video. */
function identifyBoxes(start: string): Identity {
  const length = Buffer.from(start.slice(0, 4), 'latin1').readUInt32BE()
  const brands = start.slice(8, Math.min(length, start.length)).match(/.{4}/gs) ?? []
  if (brands.some(brand => /^avi[fs]/.test(brand))) return { format: 'avif' }
  if (brands.some(brand => /^(hei|hev|mif1|msf1)/.test(brand))) {
    return { what: 'a HEIC image. Convert it to JPEG or PNG' }
  }
  if (brands[0] === 'crx ') return { what: "a camera's raw file. Convert it to JPEG or PNG" }
  return { what: VIDEO }
}
