export { checkpointTemplate, templateFromFile, templateFromText } from './checkpoint-template.ts';
export { Detokenizer, StopMatcher } from './detokenizer.ts';
export { type GgufVocabulary, TOKEN_TYPES, tokenizerFromGguf } from './gguf-tokenizer.ts';
export { folderVocabulary } from './gguf-vocabulary.ts';
export { JinjaTemplate } from './jinja-template.ts';
export { type LoadTokenizerOptions, loadTokenizer } from './load-tokenizer.ts';
export * from './prompt.ts';
export { type PromptTemplate, stopIds } from './prompt-template.ts';
export { TEMPLATES, type Template, type TemplateName } from './template-table.ts';
export * from './templates.ts';
export type { AddedToken, DecodeOptions, DecodeStream, EncodeOptions, Tokenizer } from './tokenizer.ts';
export { changedTokenizerFiles, TOKENIZER_FILES, type TokenChange } from './tokenizer-files.ts';
export { type TokenizerJsonOptions, tokenizerFromJson } from './tokenizer-json.ts';
export {
  type Llama2cPiece,
  llama2cTokenizer,
  readLlama2cPieces,
  type TokenizerModelOptions,
  tokenizerFromModel,
} from './tokenizer-model.ts';
export { saveTokenizer, type TrainBpeOptions, type TrainedBpe, trainBpe } from './train-bpe.ts';
