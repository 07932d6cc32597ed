// Files and folders that other programs leave among photos. They are not data, although some hold thumbnails.

const junkFolders: ReadonlySet<string> = new Set(
  [
    '@eaDir', // Synology
    '@Recycle', // QNAP
    '@Recently-Snapshot',
    '#recycle',
    '$RECYCLE.BIN', // Windows
    'System Volume Information',
    '__MACOSX', // zip files made by macOS
    '.AppleDouble',
    '.Spotlight-V100',
    '.Trashes',
    '.fseventsd',
    '.ipynb_checkpoints', // Jupyter
    '__pycache__',
    '.thumbnails',
    'lost+found',
  ].map(name => name.toLowerCase()),
)

const junkFiles: ReadonlySet<string> = new Set(['thumbs.db', 'ehthumbs.db', 'desktop.ini', '.ds_store'])

/** Whether another program created the folder for itself: `@eaDir`, `__MACOSX`, `.ipynb_checkpoints`, ... */
export const isJunkFolder = (name: string): boolean => junkFolders.has(name.toLowerCase())

/** Whether a file is one such as `Thumbs.db` or `.DS_Store`, or macOS's `._photo.jpg`, which is not an image. */
export const isJunkFile = (name: string): boolean =>
  junkFiles.has(name.toLowerCase()) || name.startsWith('._')
