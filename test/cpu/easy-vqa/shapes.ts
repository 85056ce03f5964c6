/** @file A dataset in easy-VQA's form, drawn here: one large coloured shape an image. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { Rng } from '../../../src/core/index.ts';

const SIDE = 64;
const COLORS = { red: [255, 0, 0], blue: [0, 0, 255], green: [0, 255, 0], black: [0, 0, 0] } as const;
type Color = keyof typeof COLORS;
type Inside = (x: number, y: number) => boolean;

/** Is the point in the shape? x and y from −1 to 1. */
const SHAPES = {
  circle: (x, y) => x * x + y * y < 1,
  rectangle: (_, y) => Math.abs(y) < 0.7,
  triangle: (x, y) => Math.abs(x) < (y + 1) / 2,
} as const satisfies Record<string, Inside>;
type Shape = keyof typeof SHAPES;

/** Writes `train` and `test` splits into `folder`. */
export async function writeShapes(folder: string, counts: { train: number; test: number }): Promise<void> {
  for (const [split, count] of Object.entries(counts)) {
    const rng = new Rng(count);
    const rows: (readonly [string, string, number])[] = [];
    mkdirSync(join(folder, split, 'images'), { recursive: true });
    for (let number = 0; number < count; number++) {
      const shape = rng.pick(Object.keys(SHAPES) as Shape[]);
      const color = rng.pick(Object.keys(COLORS) as Color[]);
      rows.push(...questions(shape, color, rng).map(([question, answer]) => [question, answer, number] as const));
      await writePng(join(folder, split, 'images', `${number}.png`), draw(shape, color, rng));
    }
    writeFileSync(join(folder, split, 'questions.json'), JSON.stringify(rows));
  }
}

function questions(shape: Shape, color: Color, rng: Rng): [question: string, answer: string][] {
  const [otherShape, otherColor] = [rng.pick(Object.keys(SHAPES)), rng.pick(Object.keys(COLORS))];
  return [
    ['what shape is in the image?', shape],
    ['what color is the shape?', color],
    [`is there a ${otherShape}?`, otherShape === shape ? 'yes' : 'no'],
    [`is there not a ${otherColor} shape?`, otherColor === color ? 'no' : 'yes'],
  ];
}

function draw(shape: Shape, color: Color, rng: Rng): Uint8Array {
  const radius = 14 + rng.int(10);
  const [centerX, centerY] = [radius + rng.int(SIDE - 2 * radius), radius + rng.int(SIDE - 2 * radius)];
  const data = new Uint8Array(SIDE * SIDE * 3).fill(225 + rng.int(31));
  for (let i = 0; i < SIDE * SIDE; i++) {
    const [x, y] = [((i % SIDE) - centerX) / radius, (Math.floor(i / SIDE) - centerY) / radius];
    if (Math.abs(x) < 1 && Math.abs(y) < 1 && SHAPES[shape](x, y)) data.set(COLORS[color], 3 * i);
  }
  return data;
}

async function writePng(path: string, data: Uint8Array): Promise<void> {
  await sharp(data, { raw: { width: SIDE, height: SIDE, channels: 3 } })
    .png()
    .toFile(path);
}
