/** @file What a dataset gives: conversations about images, by index. */

import type { RgbImage } from '../processor/index.ts';

/** One turn, in LLaVA's JSON form. */
export interface Turn {
  readonly from: 'human' | 'gpt';
  readonly value: string;
}

/** One training or evaluation conversation with its images decoded. */
export interface Sample {
  readonly id: string;
  readonly images: readonly RgbImage[];
  readonly conversations: readonly Turn[];
}

/** Samples by index. `sample(i)` is a pure function of i, so a resumed run sees what the unbroken run would have seen. */
export interface SampleSource {
  readonly name: string;
  /** Number of samples; Infinity for a stream. */
  readonly length: number;
  sample(index: number): Promise<Sample> | Sample;
  /** Text length and modality without decoding anything, for grouping. */
  describe?(index: number): SampleDescription;
}

/** What grouping needs to know of a sample. */
export interface SampleDescription {
  /** Whitespace-separated words over all turns. */
  readonly words: number;
  readonly modality: 'image' | 'text';
}
