/**
 * @file Llama 3.1's scaling of rotary frequencies, which GGUF files hold as one divisor for each frequency and Hugging Face's
 * as four numbers.
 */

/** Hugging Face's `rope_scaling` of Llama 3.1 and later. */
export interface Llama3Scaling {
  readonly rope_type: 'llama3';
  readonly factor: number;
  readonly low_freq_factor: number;
  readonly high_freq_factor: number;
  readonly original_max_position_embeddings: number;
}

/** The same in all published models. */
const PUBLISHED = { low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };

/**
 * Divisors of the frequencies θ^(−2i/D), i < D/2 = `count`: 1 for wavelengths below original/high, `factor` above
 * original/low, between them 1 / ((1 − s)/factor + s) with s = (original/wavelength − low) / (high − low).
 */
export function ropeFactors(scaling: Llama3Scaling, theta: number, count: number): Float32Array {
  const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = scaling;
  return Float32Array.from({ length: count }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** (i / count);
    if (wavelength < original / high) return 1;
    if (wavelength > original / low) return factor;
    const smooth = (original / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/** The scaling that divisors stand for; undefined when they are not those of a published one. */
export function factorsScaling(factors: Float32Array, theta: number): Llama3Scaling | undefined {
  const scaling = {
    rope_type: 'llama3' as const,
    factor: Math.round(Math.max(...factors) * 1000) / 1000,
    ...PUBLISHED,
  };
  const expected = ropeFactors(scaling, theta, factors.length);
  const isSame = factors.every((value, i) => Math.abs(value - expected[i]!) <= 1e-4 * expected[i]!);
  return isSame && scaling.factor >= 1 ? scaling : undefined;
}
