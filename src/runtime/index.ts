export { Binding, type BindOptions, type DeviceTensors, type RunOptions } from './binding.ts';
export { type BoundProgram, chain, type Program } from './chain.ts';
export { type DeviceState, deviceStates } from './device-states.ts';
export { DeviceTensor } from './device-tensor.ts';
export { checkDevice, DEVICES, type Device } from './devices.ts';
export { OrtError, type OrtErrorCode } from './errors.ts';
export { type CompileOptions, compile, Executable, type Feeds } from './executable.ts';
export { type RuntimeInfo, runtimeInfo } from './info.ts';
export { releaseMappedFiles } from './mapped-files.ts';
