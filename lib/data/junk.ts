// What other programs leave in folders of photos. None of it is data, although some of it holds small pictures.

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

/** Whether a folder is one that a program made for itself: `@eaDir`, `__MACOSX`, `.ipynb_checkpoints`, ... */
export const isJunkFolder = (name: string): boolean => junkFolders.has(name.toLowerCase())

/** `Thumbs.db`, `.DS_Store`, ..., and macOS's `._photo.jpg`, which is not a picture. */
export const isJunkFile = (name: string): boolean =>
  junkFiles.has(name.toLowerCase()) || name.startsWith('._')
