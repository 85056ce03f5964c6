/**
 * @file `preprocessor_config.json` of a checkpoint: how an image is scaled, cropped and normalised. Reads the forms of
 * CLIPFeatureExtractor (sizes as numbers), CLIPImageProcessor, LlavaImageProcessor and SiglipImageProcessor (sizes as
 * objects); missing keys take the values of openai/clip-vit-large-patch14-336.
 */

import { LlavaError } from '../../core/index.ts';
import type { JsonObject, VisionConfig } from '../../models/index.ts';
import type { ResampleFilter } from './resize.ts';
import type { Rgb } from './rgb-image.ts';

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** To a shortest edge of `size` with the aspect kept, or to exactly width × height. */
export type ResizeRule =
  | { readonly kind: 'shortest-edge'; readonly size: number }
  | ({ readonly kind: 'exact' } & Size);

export interface ImageSettings {
  /** Absent: the picture keeps its size. */
  readonly resize?: ResizeRule;
  readonly resample: ResampleFilter;
  /** Absent: no crop. A picture smaller than the crop is surrounded with black. */
  readonly centerCrop?: Size;
  /** Absent: pixel values stay 0 … 255. */
  readonly rescaleFactor?: number;
  readonly mean: Rgb;
  readonly std: Rgb;
  /** Whether (value − mean) / std is applied. */
  readonly normalize: boolean;
  /** Whether the processor itself pads to a square with the mean colour before it scales (LlavaImageProcessor). */
  readonly padToSquare: boolean;
  /** Keys of the file that mean nothing here, as they were. */
  readonly unknown: Readonly<Record<string, unknown>>;
}

/** What CLIP ViT-L/14-336 was trained with. */
export const CLIP_336 = {
  resize: { kind: 'shortest-edge', size: 336 },
  resample: 'bicubic',
  centerCrop: { width: 336, height: 336 },
  rescaleFactor: 1 / 255,
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
  normalize: true,
  padToSquare: false,
  unknown: {},
} as const satisfies ImageSettings;

/**
 * What towers of this kind were trained with, as `preprocessor_config.json` would say it: CLIP keeps the aspect and crops,
 * SigLIP distorts.
 */
export function towerImageSettings({
  modelType,
  imageSize,
}: Pick<VisionConfig, 'modelType' | 'imageSize'>): JsonObject {
  const square = { height: imageSize, width: imageSize };
  if (modelType === 'clip_vision_model') return { size: { shortest_edge: imageSize }, crop_size: square };
  const half = [0.5, 0.5, 0.5];
  const type = { image_processor_type: 'SiglipImageProcessor' };
  return { ...type, size: square, do_center_crop: false, image_mean: half, image_std: half };
}

/** Numbers of PIL.Image.Resampling. */
const RESAMPLE_CODES: { readonly [K in ResampleFilter]: number } = { lanczos: 1, bilinear: 2, bicubic: 3 };

const KNOWN_KEYS: ReadonlySet<string> = new Set([
  'size',
  'crop_size',
  'resample',
  'rescale_factor',
  'image_mean',
  'image_std',
  'do_resize',
  'do_center_crop',
  'do_rescale',
  'do_normalize',
  'do_pad',
  'do_convert_rgb',
]);

/**
 * Settings from the parsed JSON of a `preprocessor_config.json`. A key that is null counts as missing.
 * @param where the file's name, for errors.
 * @throws LlavaError when a known key has a value of the wrong type.
 */
export function parseImageSettings(json: unknown, where: string): ImageSettings {
  if (!isRecord(json)) throw new LlavaError(`${where}: expected a JSON object, got ${describe(json)}`);
  const fields: Fields = { where, values: json };
  const resize = readFlag(fields, 'do_resize', true) ? readResizeRule(fields) : undefined;
  const centerCrop = readFlag(fields, 'do_center_crop', true) ? readCrop(fields, resize) : undefined;
  const rescaleFactor = readFlag(fields, 'do_rescale', true) ? readRescaleFactor(fields) : undefined;
  readFlag(fields, 'do_convert_rgb', true); // conversion is always done: the towers take three channels
  return {
    ...(resize && { resize }),
    resample: readResample(fields),
    ...(centerCrop && { centerCrop }),
    ...(rescaleFactor !== undefined && { rescaleFactor }),
    mean: readRgb(fields, 'image_mean', CLIP_336.mean),
    std: readRgb(fields, 'image_std', CLIP_336.std),
    normalize: readFlag(fields, 'do_normalize', true),
    padToSquare: readFlag(fields, 'do_pad', false),
    unknown: Object.fromEntries(Object.entries(json).filter(([key]) => !KNOWN_KEYS.has(key))),
  };
}

/** The content of the `preprocessor_config.json` that {@link parseImageSettings} and `transformers` read back. */
export function formatImageSettings(settings: ImageSettings): Record<string, unknown> {
  const { resize, centerCrop, rescaleFactor, normalize, padToSquare } = settings;
  return {
    image_processor_type: padToSquare ? 'LlavaImageProcessor' : 'CLIPImageProcessor',
    ...settings.unknown,
    do_convert_rgb: true,
    do_pad: padToSquare,
    do_resize: resize !== undefined,
    ...(resize && { size: formatResizeRule(resize) }),
    resample: RESAMPLE_CODES[settings.resample],
    do_center_crop: centerCrop !== undefined,
    ...(centerCrop && { crop_size: { height: centerCrop.height, width: centerCrop.width } }),
    do_rescale: rescaleFactor !== undefined,
    ...(rescaleFactor !== undefined && { rescale_factor: rescaleFactor }),
    do_normalize: normalize,
    image_mean: settings.mean,
    image_std: settings.std,
  };
}

function formatResizeRule(rule: ResizeRule): Record<string, number> {
  return rule.kind === 'exact' ? { height: rule.height, width: rule.width } : { shortest_edge: rule.size };
}

interface Fields {
  readonly where: string;
  readonly values: Readonly<Record<string, unknown>>;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function describe(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 80) ?? String(value);
}

function wrongType({ where, values }: Fields, key: string, expected: string): LlavaError {
  return new LlavaError(`${where}: expected ${key} to be ${expected}, got ${describe(values[key])}`);
}

function readFlag(fields: Fields, key: string, fallback: boolean): boolean {
  const value = fields.values[key] ?? fallback;
  if (typeof value !== 'boolean') throw wrongType(fields, key, 'true or false');
  return value;
}

/** Far above any tower's input; keeps a broken file from asking for gigabytes. */
const MAX_SIZE = 16_384;

function isSize(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= MAX_SIZE;
}

/** `336`, `{ shortest_edge: 336 }` or `{ height: 384, width: 384 }`. */
function readResizeRule(fields: Fields): ResizeRule {
  const value = fields.values.size ?? CLIP_336.resize.size;
  if (isSize(value)) return { kind: 'shortest-edge', size: value };
  if (isRecord(value)) {
    const { shortest_edge: size, longest_edge: longest, height, width } = value;
    if (isSize(size) && longest == null) return { kind: 'shortest-edge', size };
    if (isSize(height) && isSize(width)) return { kind: 'exact', width, height };
  }
  throw wrongType(fields, 'size', `N, { shortest_edge: N } or { height: N, width: N } with N from 1 to ${MAX_SIZE}`);
}

/** `336` or `{ height: 336, width: 336 }`; by default the square, or the rectangle, that the picture is resized to. */
function readCrop(fields: Fields, resize: ResizeRule | undefined): Size {
  const value = fields.values.crop_size;
  if (value == null) {
    if (resize?.kind === 'exact') return { width: resize.width, height: resize.height };
    const side = resize?.size ?? CLIP_336.centerCrop.width;
    return { width: side, height: side };
  }
  if (isSize(value)) return { width: value, height: value };
  if (isRecord(value)) {
    const { height, width } = value;
    if (isSize(height) && isSize(width)) return { width, height };
  }
  throw wrongType(fields, 'crop_size', `N or { height: N, width: N } with N from 1 to ${MAX_SIZE}`);
}

function readResample(fields: Fields): ResampleFilter {
  const value = fields.values.resample ?? RESAMPLE_CODES.bicubic;
  for (const [name, code] of Object.entries(RESAMPLE_CODES)) if (code === value) return name as ResampleFilter;
  throw wrongType(fields, 'resample', '1 (lanczos), 2 (bilinear) or 3 (bicubic)');
}

function readRescaleFactor(fields: Fields): number {
  const value = fields.values.rescale_factor ?? CLIP_336.rescaleFactor;
  if (!isFiniteNumber(value) || value <= 0) throw wrongType(fields, 'rescale_factor', 'a positive number');
  return value;
}

function readRgb(fields: Fields, key: 'image_mean' | 'image_std', fallback: Rgb): Rgb {
  const value = fields.values[key] ?? fallback;
  const isRgb = Array.isArray(value) && value.length === 3 && value.every(isFiniteNumber);
  if (!isRgb) throw wrongType(fields, key, 'three numbers');
  if (key === 'image_std' && value.includes(0)) throw wrongType(fields, key, 'three numbers other than 0');
  return value as unknown as Rgb;
}

function isFiniteNumber(value: unknown): value is number {
  return Number.isFinite(value);
}
