/**
 * @file The rules of `src/` as functions from source text to complaints: who may import whom, what is used where, sizes and
 * style. Works on syntax trees; types are the compiler's business.
 */

import { dirname, join } from 'node:path/posix';
import { parseAst } from 'vitest/node';

/** Source text by path below `src/`, such as `graph/ops/nn.ts`. */
export type Sources = ReadonlyMap<string, string>;

/** Folder → folders it may import. Read downwards it is an order: nothing imports what stands below it. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  graph: ['core'],
  nn: ['core', 'graph'],
  models: ['core', 'graph', 'nn'],
  weights: ['core'],
  processor: ['core', 'models'],
  runtime: ['core', 'graph'],
  data: ['core', 'processor'],
  engine: ['core', 'graph', 'models', 'weights', 'processor', 'runtime'],
  train: ['core', 'graph', 'nn', 'models', 'weights', 'runtime', 'data'],
  eval: ['core', 'processor', 'data', 'engine'],
  app: ['core', 'models', 'weights', 'processor', 'runtime', 'data', 'engine', 'train', 'eval'],
};

/** Files other than `index.ts` that a folder may import: arithmetic without the graph. */
const SIDE_ENTRIES: Readonly<Record<string, readonly string[]>> = {
  processor: ['models/config/index.ts', 'models/image-layout.ts'],
};

/** Package → where it may be used (path prefixes). A package that is not here is no dependency. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  'onnxruntime-node': ['runtime/'],
  koffi: ['runtime/'],
  sharp: ['processor/image/', 'data/sources/'],
  'opentype.js': ['data/sources/'],
  '@huggingface/jinja': ['processor/text/'],
  '@bufbuild/protobuf': ['graph/onnx/', 'processor/text/'],
  commander: ['app/'],
};

const ENVIRONMENT = ['app/', 'core/cache-folder.ts', 'data/sources/', 'weights/hub/settings.ts'];
const MAX_FILE_LINES = 400;
const MAX_FUNCTION_LINES = 80;
const HEADER_FROM_LINES = 80;

/** A node of the syntax tree (ESTree with TypeScript). */
interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

interface File {
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  /** Offset of each line's first character. */
  readonly lineStarts: readonly number[];
  readonly nodes: readonly Node[];
}

/** Everything that is wrong, one line each: `path:line: complaint`. */
export function complaints(sources: Sources): string[] {
  const files = [...sources].map(([path, text]) => parse(path, text));
  const perFile = files.flatMap(file => RULES.flatMap(rule => rule(file)));
  return [...perFile, ...cycles(files)];
}

function parse(path: string, text: string): File {
  const nodes: Node[] = [];
  const pending: unknown[] = [parseAst(text, { lang: 'ts' })];
  while (pending.length > 0) {
    const next = pending.pop();
    if (typeof next !== 'object' || next === null) continue;
    if ('type' in next) nodes.push(next as Node);
    pending.push(...Object.values(next));
  }
  const lineStarts = [0, ...Array.from(text.matchAll(/\n/g), match => match.index + 1)];
  return { path, text, lines: text.split('\n'), lineStarts, nodes: nodes.sort((a, b) => a.start - b.start) };
}

type Rule = (file: File) => string[];

/** A complaint at each node that `test` finds fault with. */
function atNodes(test: (node: Node, file: File) => string | undefined): Rule {
  return file =>
    file.nodes.flatMap(node => {
      const fault = test(node, file);
      return fault === undefined ? [] : [`${file.path}:${lineOf(file, node.start)}: ${fault}`];
    });
}

/** Line of an offset, counted from 1: how many lines start at or before it. */
function lineOf({ lineStarts }: File, offset: number): number {
  let [low, high] = [0, lineStarts.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lineStarts[middle]! <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

const folderOf = (path: string): string => (path.includes('/') ? path.slice(0, path.indexOf('/')) : '');
const isWithin = (path: string, prefixes: readonly string[]): boolean =>
  prefixes.some(prefix => path.startsWith(prefix));
const stringOf = (node: unknown): string | undefined => {
  const value = (node as Node | null | undefined)?.value;
  return typeof value === 'string' ? value : undefined;
};

/** Module named by an import, an export from, `import()` or `typeof import()`. */
function importedModule(node: Node): string | undefined {
  const imports = [
    'ImportDeclaration',
    'ExportNamedDeclaration',
    'ExportAllDeclaration',
    'ImportExpression',
    'TSImportType',
  ];
  return imports.includes(node.type) ? stringOf(node.source ?? node.argument) : undefined;
}

/** Path below `src/` of a relative import, else undefined. */
function importedPath(file: File, node: Node): string | undefined {
  const module = importedModule(node);
  return module?.startsWith('.') ? join(dirname(file.path), module) : undefined;
}

const folders = atNodes((node, file) => {
  const target = importedPath(file, node);
  if (target === undefined) return undefined;
  const [from, to] = [folderOf(file.path), folderOf(target)];
  if (from === to) return undefined;
  const isEntry = target === `${to}/index.ts` || SIDE_ENTRIES[from]?.includes(target);
  if (from !== '' && !MAY_IMPORT[from]?.includes(to)) return `${from} may not import ${to} (${target})`;
  return isEntry ? undefined : `imports ${target}, which is not the entry of ${to}`;
});

const knownFolder: Rule = ({ path }) => {
  const folder = folderOf(path);
  return folder in MAY_IMPORT || path === 'index.ts' ? [] : [`${path}:1: is in none of the folders of the design`];
};

/** Any string that names a known package counts, since `require` and `resolve` take strings. */
const packagePlaces = atNodes((node, { path }) => {
  const text = node.type === 'Literal' ? stringOf(node) : undefined;
  const known = Object.keys(PACKAGES).find(name => text === name || text?.startsWith(`${name}/`));
  return known === undefined || isWithin(path, PACKAGES[known]!) ? undefined : `uses ${known}`;
});

const packageNames = atNodes(node => {
  const module = importedModule(node);
  if (module === undefined || /^(\.|node:)/.test(module)) return undefined;
  const isKnown = Object.keys(PACKAGES).some(name => module === name || module.startsWith(`${name}/`));
  return isKnown ? undefined : `imports ${module}, which is no dependency (Node's own are node:…)`;
});

const environment = atNodes((node, { path }) => {
  if (isWithin(path, ENVIRONMENT)) return undefined;
  const isProcess = (value: unknown) =>
    (value as Node | null)?.type === 'Identifier' && (value as Node).name === 'process';
  const property = (node.property as Node | undefined)?.name;
  const reads =
    node.type === 'MemberExpression' && isProcess(node.object) && (property === 'env' || property === 'argv');
  const takesApart = node.type === 'VariableDeclarator' && isProcess(node.init);
  const imports = /^(node:)?process$/.test(importedModule(node) ?? '');
  return reads || takesApart || imports ? 'reads the environment or the command line' : undefined;
});

const language = atNodes((node, file) => {
  if (node.type === 'ExportDefaultDeclaration') return 'has a default export';
  if (node.type === 'TSEnumDeclaration') return 'declares an enum';
  if (node.type !== 'TSAnyKeyword') return undefined;
  const line = lineOf(file, node.start);
  const isExplained = [file.lines[line - 1]!, file.lines[line - 2] ?? ''].some(l => /\/\/|\/\*|^\s*\*/.test(l));
  return isExplained ? undefined : 'says any without a reason';
});

const errors = atNodes((node, { path, text }) => {
  if (node.type !== 'ThrowStatement' || path === 'core/errors.ts') return undefined;
  const thrown = node.argument as Node;
  const builtin = /^(Error|TypeError|RangeError|SyntaxError)$/;
  if (thrown.type !== 'NewExpression' || !builtin.test(String((thrown.callee as Node).name))) return undefined;
  const isInternal = text.slice(thrown.start, thrown.end).includes('internal:');
  return isInternal ? undefined : 'throws a plain Error: LlavaError is for users, assert for bugs';
});

const functionLength = atNodes((node, file) => {
  const isFunction = ['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression'].includes(node.type);
  const length = isFunction ? lineOf(file, node.end) - lineOf(file, node.start) + 1 : 0;
  return length > MAX_FUNCTION_LINES ? `function of ${length} lines (at most ${MAX_FUNCTION_LINES})` : undefined;
});

const fileShape: Rule = ({ path, text }) => {
  const length = text.trimEnd().split('\n').length;
  const hasHeader = /^(#!.*\n)?\/\*\*(\s|\*)*@file/.test(text);
  return [
    ...(length > MAX_FILE_LINES ? [`${path}:1: ${length} lines (at most ${MAX_FILE_LINES})`] : []),
    ...(length > HEADER_FROM_LINES && !hasHeader ? [`${path}:1: ${length} lines without a /** @file … */ header`] : []),
  ];
};

const RULES: readonly Rule[] = [
  knownFolder,
  folders,
  packagePlaces,
  packageNames,
  environment,
  language,
  errors,
  functionLength,
  fileShape,
];

/** Files that a file needs when it is loaded; type imports do not count. */
function valueImports(file: File): string[] {
  return file.nodes.flatMap(node => {
    const target = importedPath(file, node);
    if (target === undefined || node.type === 'TSImportType' || node.type === 'ImportExpression') return [];
    const kind = node.importKind ?? node.exportKind;
    const specifiers = (node.specifiers ?? []) as readonly Node[];
    const onlyTypes = specifiers.length > 0 && specifiers.every(s => (s.importKind ?? s.exportKind) === 'type');
    return kind === 'type' || onlyTypes ? [] : [target];
  });
}

/** Each cycle of value imports once, from its first file by name. */
function cycles(files: readonly File[]): string[] {
  const imports = new Map(files.map(file => [file.path, valueImports(file)]));
  return files.flatMap(({ path }) => {
    const way = shortestWay(imports, path);
    const isFirst = way?.every(step => step >= path);
    return isFirst ? [`${path}:1: import cycle ${[path, ...way!].join(' → ')}`] : [];
  });
}

/** Steps of the shortest way from `path` back to itself. */
function shortestWay(imports: ReadonlyMap<string, readonly string[]>, path: string): string[] | undefined {
  const reached = new Set<string>();
  let ways: string[][] = [[]];
  while (ways.length > 0) {
    const longer = ways.flatMap(way => (imports.get(way.at(-1) ?? path) ?? []).map(next => [...way, next]));
    const closed = longer.find(way => way.at(-1) === path);
    if (closed) return closed;
    ways = longer.filter(way => !reached.has(way.at(-1)!) && reached.add(way.at(-1)!));
  }
  return undefined;
}
