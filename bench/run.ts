/** @file `npm run bench -- NAME [--json] [--n RUNS] [--only PART]`: one comparison, printed and saved in bench/results. */

import { parseArgs } from 'node:util';
import { formatRows, type Row, saveRows } from './rows.ts';

type Bench = { run(n: number, only?: string): Promise<Row[]> };

const BENCHES: Readonly<Record<string, () => Promise<Bench>>> = {
  'llama-cpp': () => import('./llama-cpp.ts'),
};

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean' }, n: { type: 'string', default: '3' }, only: { type: 'string' } },
});
const [name = ''] = positionals;
const load = BENCHES[name];
if (!load) {
  console.error(`bench: expected one of ${Object.keys(BENCHES).join(', ')}, got ${JSON.stringify(name)}`);
  process.exit(2);
}
const rows = await (await load()).run(Number(values.n), values.only);
if (!values.only) saveRows(name, rows);
console.log(values.json ? JSON.stringify(rows, null, 2) : formatRows(rows));
process.exit(0);
