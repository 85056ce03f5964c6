/** `OrtErrorCode` of the C API, in its order. */
const CODES = [
  'ok',
  'fail',
  'invalid-argument',
  'no-such-file',
  'no-model',
  'engine-error',
  'runtime-exception',
  'invalid-protobuf',
  'model-loaded',
  'not-implemented',
  'invalid-graph',
  'provider-fail',
  'load-cancelled',
  'requires-compilation',
  'not-found',
] as const;

export type OrtErrorCode = (typeof CODES)[number];

/** Places in ONNX Runtime's own source, which its messages are full of. */
const SOURCE_PLACE = /\S+\.(cc|h):\d+ /g;

/** ONNX Runtime refused or failed. The message is one line: `where: what ONNX Runtime said`. */
export class OrtError extends Error {
  override readonly name = 'OrtError';
  readonly code: OrtErrorCode;

  /** @param code number of `OrtErrorCode`; an unknown one reads as 'fail'. */
  constructor(where: string, code: number, message: string) {
    super(`${where}: ${message.replace(/\s+/g, ' ').replace(SOURCE_PLACE, '').trim()}`);
    this.code = CODES[code] ?? 'fail';
  }
}
