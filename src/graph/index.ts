export { gradients } from './autodiff.ts';
export * from './dim.ts';
export { buildGraph, type Graph, type Port, printGraph, verify } from './graph.ts';
export { inPrecision, PRECISIONS, type Precision } from './half.ts';
export { type EmitOptions, emitOnnx, type OnnxModel, type OnnxPort, type ParamSource } from './onnx/emit.ts';
export { formatType, type OpRecord, opTable } from './op.ts';
export * from './ops/index.ts';
export { subgraph } from './subgraph.ts';
export { constant, input, param, scalar, type TensorType, type Value } from './value.ts';
