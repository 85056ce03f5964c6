import { expect, test } from 'vitest';
import { checkTensors } from '../../../src/weights/index.ts';
import { refusal } from './helpers.ts';

const expected = [
  { name: 'a', shape: [2, 3] },
  { name: 'b', shape: [4] },
  { name: 'c', shape: [] },
];
const found = (...tensors: [string, number[]][]) => new Map(tensors.map(([name, shape]) => [name, { shape }]));

test('agreement in any order passes', () => {
  expect(refusal(() => checkTensors('dir', found(['c', []], ['a', [2, 3]], ['b', [4]]), expected))).toBeUndefined();
});

test('one error lists all that is missing, unexpected and wrongly shaped', () => {
  const tensors = found(['c', [1]], ['x', [1]], ['a', [3, 2]], ['y\n', [1]]);
  expect(refusal(() => checkTensors('dir', tensors, expected))).toBe(
    'checkpoint dir: expected the 3 tensors of the model, got: missing b; unexpected x, y\ufffd; ' +
      'shape of a expected [2,3], got [3,2]; shape of c expected [], got [1]',
  );
});

test('ignorable names may be there, and only be there', () => {
  const tensors = found(['c', []], ['a', [2, 3]], ['b', [4]], ['layers.0.rotary_emb.inv_freq', [8]]);
  const ignore = [/rotary_emb\.inv_freq$/];
  expect(refusal(() => checkTensors('dir', tensors, expected, { ignore }))).toBeUndefined();
  expect(refusal(() => checkTensors('dir', tensors, expected))).toContain('unexpected layers.0.rotary_emb.inv_freq');
  expect(refusal(() => checkTensors('dir', found(), expected, { ignore: [/./] }))).toContain('missing a, b, c');
});
