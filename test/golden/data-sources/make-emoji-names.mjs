// Makes emoji-names.json: Unicode names and code points, as emojibase-data packs them.
// Usage: node make-emoji-names.mjs FOLDER_OF_EMOJIBASE_DATA > emoji-names.json
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.argv[2];
const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
const list = JSON.parse(readFileSync(join(folder, 'en', 'data.json'), 'utf8'));
const names = list.filter(({ group }) => group !== undefined && group !== 9).map(({ label, hexcode }) => [label, hexcode]);
const source = `emojibase-data ${version}, en/data.json (MIT): label and hexcode of all emoji but flags`;
console.log(JSON.stringify({ source, names }).replaceAll('],[', '],\n['));
