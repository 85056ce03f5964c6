export * from './atomic.ts';
export * from './gguf/index.ts';
export { parseJson, readJson } from './json.ts';
export * from './llama2c.ts';
export * from './safetensors.ts';
export { type Header, type HeaderTensor, type Metadata, parseHeader, parseHeaderLength } from './safetensors-header.ts';
export * from './select.ts';
export * from './sharded.ts';
export * from './tensor-entry.ts';
