/**
 * @file Renders the pictures in examples/images from OpenMoji (CC-BY-SA-4.0), the drawing style that the demo model was
 * never trained on. Usage: node scripts/make-example-images.mjs FOLDER_OF_THE_PACKAGE_@iconify-json/openmoji
 */

import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';

const SIDE = 240;
const PICTURES = {
  apple: 'red-apple',
  elephant: 'elephant',
  rocket: 'rocket',
  guitar: 'guitar',
  pizza: 'pizza',
  car: 'automobile',
};
const COUNTED = {
  file: 'three',
  icon: 'maple-leaf',
  places: [
    [10, 90],
    [85, 20],
    [150, 130],
  ],
  side: 78,
};

const { icons, width, height } = JSON.parse(readFileSync(join(process.argv[2], 'icons.json'), 'utf8'));
const target = join(dirname(dirname(fileURLToPath(import.meta.url))), 'examples/images');
mkdirSync(target, { recursive: true });

function draw(icon, side) {
  const { body, width: w = width, height: h = height } = icons[icon];
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${w} ${h}" width="${side}" height="${side}">${body}</svg>`;
  return sharp(Buffer.from(svg)).png().toBuffer();
}

function save(layers, name) {
  const canvas = sharp({ create: { width: SIDE, height: SIDE, channels: 3, background: '#fff' } });
  return canvas
    .composite(layers)
    .png({ palette: true })
    .toFile(join(target, `${name}.png`));
}

for (const [name, icon] of Object.entries(PICTURES)) await save([{ input: await draw(icon, SIDE) }], name);
const one = await draw(COUNTED.icon, COUNTED.side);
await save(
  COUNTED.places.map(([left, top]) => ({ input: one, left, top })),
  COUNTED.file,
);
