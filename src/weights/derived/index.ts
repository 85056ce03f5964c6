export { checkBase, findFile, openCheckpoint, PROJECTOR_FILE, tokenizerFolder } from './checkpoint.ts';
export { applyDelta, makeDelta } from './delta.ts';
export { applyLora, type LoraContent, saveLora } from './lora.ts';
export { type LoraConfig, loraConfigJson, parseLoraConfig } from './lora-config.ts';
