// The libraries that read data sets. scripts/bundle.ts bundles them into dist/data/libraries.js to keep the installation
// small, and this file is imported only when a data set needs them.
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
