export * from './atomic.ts';
export { type ByteSource, memorySource } from './byte-source.ts';
export * from './derived/index.ts';
export { fileError, fileIdentity, makeFolders } from './files.ts';
export * from './gguf/index.ts';
export * from './hub/index.ts';
export { parseJson, readJson } from './json.ts';
export * from './llama2c.ts';
export * from './quantize.ts';
export { ByteRounder, type GroupRounder, NibbleRounder, RowRounder } from './quantize-groups.ts';
export { toPairs } from './rotary-rows.ts';
export * from './safetensors.ts';
export {
  byteLengthOf,
  type Header,
  type HeaderTensor,
  type Metadata,
  parseHeader,
  parseHeaderLength,
} from './safetensors-header.ts';
export * from './select.ts';
export * from './sharded.ts';
export * from './tensor-entry.ts';
export { openTorch, parseTorch } from './torch/torch-file.ts';
export { writeTorch } from './torch/torch-writer.ts';
