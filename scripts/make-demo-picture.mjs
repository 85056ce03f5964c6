/**
 * @file Draws docs/demo.svg: the demo model's real answers to questions about the example images, as a terminal shows
 * them. Run after `npm run build`: `node scripts/make-demo-picture.mjs`.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Llava } from '../dist/index.js';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const QUESTIONS = [
  ['elephant.png', 'What is this?'],
  ['elephant.png', 'What kind of thing is this?'],
  ['rocket.png', 'What is the main colour?'],
  ['guitar.png', 'Is this a guitar?'],
  ['rocket.png', 'What is this?'],
  ['apple.png', 'What is this?'],
];
const [ROW, WIDTH, TOP] = [76, 720, 16];

const escaped = text => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
const model = await Llava.load(join(root, 'models/demo'));
const rows = [];
for (const [i, [file, question]] of QUESTIONS.entries()) {
  const path = join(root, 'examples/images', file);
  const answer = await model.ask(question, { image: path });
  const y = TOP + i * ROW;
  const data = readFileSync(path).toString('base64');
  rows.push(
    `<rect x="16" y="${y}" width="60" height="60" rx="6" fill="#fff"/>`,
    `<image x="16" y="${y}" width="60" height="60" href="data:image/png;base64,${data}"/>`,
    `<text x="96" y="${y + 25}" fill="#9da7b3">$ llava ask --image ${file} "${escaped(question)}"</text>`,
    `<text x="96" y="${y + 49}" fill="#e6edf3" font-weight="bold">${escaped(answer)}</text>`,
  );
  console.log(`${file}: ${question} ${answer}`);
}
model.dispose();
const height = TOP + QUESTIONS.length * ROW + 4;
writeFileSync(
  join(root, 'docs/demo.svg'),
  [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}">`,
    '<title>The demo model answering questions about drawings in a terminal</title>',
    `<rect width="100%" height="100%" rx="10" fill="#0d1117"/>`,
    `<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="15">`,
    ...rows,
    '</g></svg>\n',
  ].join('\n'),
);
