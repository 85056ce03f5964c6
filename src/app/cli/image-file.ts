import { LlavaError } from '../../core/index.ts';
import type { ImageLimits, RgbImage } from '../../processor/index.ts';
import type { Io } from './commands.ts';
import type { ModelValues } from './options.ts';

/** Decodes an image file, or for `-` what comes on stdin. Throws {@link LlavaError} that names it. */
export async function openImage(file: string, { maxPixels, maxSide }: ModelValues, io: Io): Promise<RgbImage> {
  const { decodeImage } = await import('../../processor/index.ts');
  const limits: ImageLimits = {
    ...(maxPixels !== undefined && { maxPixels }),
    ...(maxSide !== undefined && { maxSide }),
  };
  if (file !== '-') return decodeImage(file, limits);
  const chunks: Buffer[] = [];
  for await (const chunk of io.stdin) chunks.push(Buffer.from(chunk));
  return decodeImage(Buffer.concat(chunks), { ...limits, name: 'on stdin' });
}

/** Throws {@link LlavaError} when stdin is asked for more than once. */
export function checkImages(files: readonly string[]): void {
  const fromStdin = files.filter(file => file === '-').length;
  if (fromStdin > 1) throw new LlavaError(`option --image: expected - (stdin) at most once, got it ${fromStdin} times`);
}
