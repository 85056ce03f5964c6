export * from './batch.ts';
export * from './example.ts';
export * from './mixture.ts';
export * from './sample.ts';
