import { existsSync } from 'node:fs';
import { LlavaError } from '../../core/index.ts';
import type { ImageLimits, RgbImage } from '../../processor/index.ts';
import type { Io } from './commands.ts';
import type { ModelValues } from './options.ts';

type LimitValues = Pick<ModelValues, 'maxPixels' | 'maxSide'>;

/** Decodes an image file, or for `-` what comes on stdin. Throws {@link LlavaError} that names it. */
export async function openImage(file: string, { maxPixels, maxSide }: LimitValues, io: Io): Promise<RgbImage> {
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

/** Finds the mistakes that show at once, before a model is loaded for nothing. Throws {@link LlavaError}. */
export async function checkImages(files: readonly string[], values: LimitValues, io: Io): Promise<void> {
  const fromStdin = files.filter(file => file === '-').length;
  if (fromStdin > 1) throw new LlavaError(`option --image: expected - (stdin) at most once, got it ${fromStdin} times`);
  const missing = files.find(file => file !== '-' && !existsSync(file));
  if (missing !== undefined) await openImage(missing, values, io);
}
