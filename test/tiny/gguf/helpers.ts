import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const GOLDEN = join(import.meta.dirname, '../../golden/gguf');

interface Golden {
  readonly dequantised: Readonly<Record<string, { readonly blocks: string; readonly f32: string }>>;
  readonly quantised: { readonly f32: string; readonly Q8_0: string; readonly Q4_0: string };
  readonly small: Readonly<Record<string, { readonly shape: readonly number[]; readonly f32: string }>>;
}

export const golden = JSON.parse(readFileSync(join(GOLDEN, 'golden.json'), 'utf8')) as Golden;

export const bytesOf = (base64: string): Uint8Array => Uint8Array.from(Buffer.from(base64, 'base64'));
export const floatsOf = (base64: string): Float32Array => new Float32Array(bytesOf(base64).buffer);
