// Bundled by scripts/bundle.ts, so that a user installs what is needed of them.
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
