export * from './elementwise.ts';
export * from './fused.ts';
export * from './indexing.ts';
export * from './linalg.ts';
export * from './movement.ts';
export * from './nn.ts';
export * from './quantized.ts';
export * from './reduction.ts';
