export { type ByteSource, bytesSource } from './cursor.ts';
export { type GgufHeader, type GgufTensor, parseGgufHeader } from './header.ts';
export { MetadataFields } from './metadata.ts';
export { dequantise, type GgufFile, openGguf } from './open.ts';
export { quantise, type WritableQuant } from './quantise.ts';
export * from './types.ts';
