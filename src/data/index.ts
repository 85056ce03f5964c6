export * from './batch.ts';
export * from './example.ts';
export { MissingImagesError } from './image-files.ts';
export * from './llava-json.ts';
export * from './mixture.ts';
export * from './sample.ts';
export * from './sampler.ts';
export * from './sources/index.ts';
export { trainingSegments } from './training-text.ts';
