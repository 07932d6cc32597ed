// The libraries that read data sets. They are bundled into dist/data/libraries.js (scripts/bundle.ts), so that installing visiontorch
// stays small, and this file is imported only when a file needs them.
export { type CsvError, parse as parseCsv } from 'csv-parse'
export {
  type AsyncBuffer,
  type Compressors,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
} from 'hyparquet'
export { extract as extractTar } from 'tar-stream'
