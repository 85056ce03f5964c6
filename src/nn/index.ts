export * from './activation.ts';
export * from './attention.ts';
export * from './layers.ts';
export * from './linear.ts';
export * from './rope.ts';
export * from './scope.ts';
