import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Rng } from '../../../src/core/index.ts';
import { COLOURS, colourName, mainColour } from '../../../src/data/index.ts';
import { colourMatrix, gridPlacements } from '../../../src/data/sources/emoji/augment.ts';
import { colourIn, inOneColour } from '../../../src/data/sources/emoji/colour-in.ts';
import { type Look, Painter, PLAIN_LOOK, type Placement } from '../../../src/data/sources/emoji/painter.ts';
import { premultiply, renderSvg, renderTrimmed } from '../../../src/data/sources/emoji/raster.ts';

const WHITE = () => [255, 255, 255] as const;
const whole = (side: number): Placement => ({
  centerX: side / 2,
  centerY: side / 2,
  width: side,
  height: side,
  angle: 0,
  flip: false,
});

/** A picture of `side` opaque columns, each with its own red. */
function stripes(side: number): Uint8Array {
  return Uint8Array.from({ length: side * side * 4 }, (_, i) =>
    i % 4 === 0 ? ((i / 4) % side) * 10 : i % 4 === 3 ? 255 : 0,
  );
}

function paint(pixels: Uint8Array, size: number, side: number, placement: Placement, look: Look = PLAIN_LOOK) {
  const painter = new Painter(side);
  painter.start(WHITE);
  painter.add(pixels, size, placement, look);
  const { data } = painter.finish();
  return (x: number, y: number) => [...data.subarray((y * side + x) * 3, (y * side + x) * 3 + 3)];
}

test('a drawing at its own size comes out as it is', () => {
  const at = paint(stripes(8), 8, 8, whole(8));
  for (let x = 0; x < 8; x++) expect(at(x, 3)).toEqual([x * 10, 0, 0]);
});

test('flip mirrors, a quarter turn turns clockwise', () => {
  const flipped = paint(stripes(8), 8, 8, { ...whole(8), flip: true });
  expect(flipped(0, 0)).toEqual([70, 0, 0]);
  const turned = paint(stripes(8), 8, 8, { ...whole(8), angle: Math.PI / 2 });
  expect([turned(4, 0), turned(4, 7)]).toEqual([
    [0, 0, 0],
    [70, 0, 0],
  ]);
});

test('bending moves rows sideways by a sine, and only rows', () => {
  const bend = { amplitude: [0.25, 0], waves: 1, phase: 0 } as const;
  const at = paint(stripes(8), 8, 8, { ...whole(8), bend });
  // Row 0 is where the sine is 0; row 2, a quarter of a wave on, reads two columns further right.
  expect([0, 3, 5].map(x => at(x, 0)[0])).toEqual([0, 30, 50]);
  expect([0, 3, 5].map(x => at(x, 2)[0])).toEqual([20, 50, 70]);
  expect(at(6, 2)).toEqual([255, 255, 255]);
});

test('few levels make shading flat', () => {
  const at = paint(stripes(8), 8, 8, whole(8), { ...PLAIN_LOOK, levels: 5 });
  expect(Array.from({ length: 8 }, (_, x) => at(x, 4)[0])).toEqual([0, 0, 0, 51, 51, 51, 51, 51]);
});

test('a smaller copy averages and leaves the rest white', () => {
  const at = paint(stripes(8), 8, 8, { ...whole(8), width: 4, height: 4 });
  expect(at(1, 4)).toEqual([255, 255, 255]);
  expect(at(2, 4)).toEqual([5, 0, 0]);
  expect(at(5, 4)).toEqual([65, 0, 0]);
});

test('half-transparent pixels mix with the background', () => {
  const pixels = premultiply(Uint8Array.from({ length: 64 }, (_, i) => (i % 4 === 0 ? 200 : i % 4 === 3 ? 128 : 0)));
  const [red, green] = paint(pixels, 4, 4, whole(4))(1, 1) as [number, number];
  expect(Math.abs(red - (200 * 128 + 255 * 127) / 255)).toBeLessThan(1.5);
  expect(Math.abs(green - (255 * 127) / 255)).toBeLessThan(1.5);
});

test('an outline is black, outside the drawing, as wide as asked', () => {
  const yellow = Uint8Array.from({ length: 16 * 16 * 4 }, (_, i) => (i % 4 === 2 ? 0 : 255));
  for (const outline of [1, 2] as const) {
    const at = paint(yellow, 16, 32, { ...whole(32), width: 16, height: 16 }, { ...PLAIN_LOOK, outline });
    expect(at(8, 16)).toEqual([255, 255, 0]);
    expect(at(7, 16)).toEqual([0, 0, 0]);
    expect(at(7 - outline, 16)).toEqual([255, 255, 255]);
  }
});

test('lines are drawn where colours meet, and line art is white between them', () => {
  const half = Uint8Array.from({ length: 16 * 16 * 4 }, (_, i) =>
    i % 4 === 3 ? 255 : (i / 4) % 16 < 8 === (i % 4 === 0) ? 250 : 0,
  );
  const at = paint(half, 16, 16, whole(16), { ...PLAIN_LOOK, outline: 1, lineArt: true });
  expect(at(7, 8)).toEqual([0, 0, 0]);
  expect(at(3, 8)).toEqual([255, 255, 255]);
});

test('the colour matrix: identity, greyscale, opposite hue', () => {
  const apply = (m: readonly number[], rgb: readonly number[]) =>
    [0, 4, 8].map(row => m[row]! * rgb[0]! + m[row + 1]! * rgb[1]! + m[row + 2]! * rgb[2]! + m[row + 3]! * 255);
  const same = apply(colourMatrix({ brightness: 1, saturation: 1, hue: 0, lift: 0 }), [200, 100, 50]);
  for (const [i, value] of [200, 100, 50].entries()) expect(same[i]).toBeCloseTo(value, -0.5);
  const [r, g, b] = apply(colourMatrix({ brightness: 1, saturation: 0, hue: 0, lift: 0 }), [200, 100, 50]);
  expect(Math.max(r!, g!, b!) - Math.min(r!, g!, b!)).toBeLessThan(1);
  const turned = apply(colourMatrix({ brightness: 1, saturation: 1, hue: Math.PI, lift: 0 }), [220, 40, 40]);
  expect(turned[0]).toBeLessThan(turned[2]!);
});

test('places of counted things do not overlap and stay on the canvas', () => {
  const check = (seed: number, count: number, side: number) => {
    const places = gridPlacements(side, count, new Rng(seed));
    expect(places).toHaveLength(count);
    for (const [i, a] of places.entries()) {
      expect(Math.min(a.centerX, a.centerY) - a.width / 2).toBeGreaterThanOrEqual(0);
      expect(Math.max(a.centerX, a.centerY) + a.width / 2).toBeLessThanOrEqual(side);
      for (const b of places.slice(i + 1)) {
        const gap = Math.max(Math.abs(a.centerX - b.centerX), Math.abs(a.centerY - b.centerY));
        expect(gap).toBeGreaterThanOrEqual(a.width);
      }
    }
  };
  fc.assert(fc.property(fc.integer(), fc.integer({ min: 1, max: 6 }), fc.integer({ min: 16, max: 224 }), check));
});

test('colours have the names that people give them', () => {
  const named = {
    red: ['#e02020', '#d22f27', '#dd2e44'],
    orange: ['#f4900c', '#e27022', '#ff8c00'],
    yellow: ['#ffcc4d', '#fcea2b', '#ffd700'],
    green: ['#77b255', '#b1cc33', '#008000'],
    blue: ['#55acee', '#92d3f5', '#1e50a0'],
    purple: ['#9266cc', '#8967aa', '#800080'],
    pink: ['#f4abba', '#ffa7c0', '#ff69b4'],
    brown: ['#a57939', '#6a462f', '#8b4513'],
    grey: ['#9b9b9a', '#d0cfce', '#808080'],
    black: ['#000000', '#3f3f3f', '#292f33'],
    white: ['#ffffff', '#f0f4f8'],
  };
  for (const [name, codes] of Object.entries(named)) {
    for (const code of codes) {
      const rgb = [1, 3, 5].map(i => Number.parseInt(code.slice(i, i + 2), 16)) as [number, number, number];
      expect(`${code} ${colourName(...rgb)}`).toBe(`${code} ${name}`);
    }
  }
  expect(Object.keys(named).sort()).toEqual([...COLOURS].sort());
});

test('the main colour leaves outlines out, and is undefined without a clear majority', async () => {
  const colourOf = async (body: string) =>
    mainColour((await renderSvg(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10">${body}</svg>`, 40)).data);
  const outlined = (fill: string) => `<rect x="1" y="1" width="8" height="8" stroke="#000" fill="${fill}"/>`;
  expect(await colourOf(outlined('#fcea2b'))).toBe('yellow');
  expect(await colourOf(outlined('#000'))).toBe('black');
  expect(await colourOf('<path fill="#e02020" d="M0 0h10v5H0z"/><path fill="#2080e0" d="M0 5h10v5H0z"/>')).toBe(
    undefined,
  );
  expect(await colourOf('')).toBe(undefined);
});

test('trimming fills the square, margins or not, and keeps proportions', async () => {
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100"><rect x="60" y="40" width="20" height="10"/></svg>';
  const { data } = await renderTrimmed(svg, 20);
  const alpha = (x: number, y: number) => data[(y * 20 + x) * 4 + 3]!;
  expect([alpha(1, 10), alpha(18, 10), alpha(10, 2), alpha(10, 17)]).toEqual([255, 255, 0, 0]);
  expect((await renderTrimmed('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>', 20)).data).toHaveLength(
    1600,
  );
  await expect(renderSvg('<svg ', 20)).rejects.toThrow('emoji drawing: expected an SVG, got');
});

/** A black ring: ink where the distance from the middle is within one pixel of `radius`. */
function ring(side: number, radius: number): Uint8Array {
  return Uint8Array.from({ length: side * side * 4 }, (_, i) => {
    const [x, y] = [((i >> 2) % side) - side / 2 + 0.5, Math.floor((i >> 2) / side) - side / 2 + 0.5];
    return i % 4 === 3 && Math.abs(Math.hypot(x, y) - radius) < 1 ? 255 : 0;
  });
}

test('colouring in fills what lines enclose and nothing else', () => {
  const drawing = ring(24, 8);
  const before = drawing.slice();
  const pixel = (pixels: Uint8Array, x: number, y: number) => [
    ...pixels.subarray((y * 24 + x) * 4, (y * 24 + x) * 4 + 4),
  ];
  const filled = Array.from({ length: 20 }, (_, seed) => colourIn(drawing, 24, new Rng(seed)));
  expect(drawing).toEqual(before);
  for (const pixels of filled) {
    expect(pixel(pixels, 0, 0)).toEqual([0, 0, 0, 0]);
    expect(pixel(pixels, 12, 4)).toEqual([0, 0, 0, 255]);
  }
  const middles = filled.map(pixels => pixel(pixels, 12, 12));
  expect(middles.filter(([, , , alpha]) => alpha === 255).length).toBeGreaterThan(10);
  expect(new Set(middles.map(String)).size).toBeGreaterThan(8);
});

test('an open line encloses nothing; a silhouette takes one colour', () => {
  const open = ring(24, 8);
  for (let y = 0; y < 24; y++) open.fill(0, (y * 24 + 12) * 4, (y * 24 + 16) * 4);
  expect(colourIn(open, 24, new Rng(1))).toEqual(open);
  const tinted = inOneColour(ring(24, 8), new Rng(1));
  const inked = Array.from({ length: 24 * 24 }, (_, i) => [...tinted.subarray(4 * i, 4 * i + 4)]).filter(
    p => p[3]! > 0,
  );
  expect(new Set(inked.map(String)).size).toBe(1);
  expect(Math.max(...inked[0]!.slice(0, 3))).toBeGreaterThan(150);
});
