/**
 * @file The kinds of byte-level BPE that GGUF files name in `tokenizer.ggml.pre`, as the parts of a tokenizer.json that they
 * stand for. Facts: the pre-tokenizer types of llama.cpp's vocabulary, and the published tokenizer.json of each family.
 */

/** Parts of a tokenizer.json. */
export interface PreTokenizerKind {
  readonly normalizer: object | null;
  readonly pre_tokenizer: object;
  /** Words that are tokens are not put together from merges. */
  readonly ignoreMerges: boolean;
}

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const REST = String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const WORD = String.raw`[^\r\n\p{L}\p{N}]?\p{L}+`;

const byteLevel = (useRegex: boolean) => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});

const split = (digits: string) => ({
  type: 'Sequence',
  pretokenizers: [
    {
      type: 'Split',
      pattern: { Regex: `${CONTRACTIONS}|${WORD}|${digits}|${REST}` },
      behavior: 'Isolated',
      invert: false,
    },
    byteLevel(false),
  ],
});

const KINDS = {
  'gpt-2': { normalizer: null, pre_tokenizer: byteLevel(true), ignoreMerges: false },
  'llama-bpe': { normalizer: null, pre_tokenizer: split(String.raw`\p{N}{1,3}`), ignoreMerges: true },
  qwen2: { normalizer: { type: 'NFC' }, pre_tokenizer: split(String.raw`\p{N}`), ignoreMerges: false },
  smollm: {
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel(true)] },
    ignoreMerges: false,
  },
} as const satisfies Record<string, PreTokenizerKind>;

/** By the name in `tokenizer.ggml.pre`. */
export const PRE_TOKENIZER_KINDS: ReadonlyMap<string, PreTokenizerKind> = new Map(Object.entries(KINDS));
