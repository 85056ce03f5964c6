export { Binding, type BindOptions, type DeviceTensors, type RunOptions } from './binding.ts';
export { DeviceTensor } from './device-tensor.ts';
export { OrtError, type OrtErrorCode } from './errors.ts';
export { type CompileOptions, compile, Executable, type Feeds } from './executable.ts';
export { type RuntimeInfo, runtimeInfo } from './info.ts';
