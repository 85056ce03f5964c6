/** @file The figures of `llava bench` as a picture: two charts, of reading and of writing, over the length of the prompt. */

import type { Benchmark } from '../../engine/index.ts';

const WIDTH = 360;
const HEIGHT = 240;
const MARGIN = { left: 56, right: 16, top: 40, bottom: 36 };

interface Point {
  readonly x: number;
  readonly y: number;
}

/** An SVG document. */
export function benchmarkSvg({ model, prefill, decode }: Benchmark): string {
  const read = prefill.map(({ tokens, ms }) => ({ x: tokens, y: ms }));
  const write = decode.map(({ past, ms }) => ({ x: past, y: ms }));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${2 * WIDTH}" height="${HEIGHT + 24}" font-family="sans-serif" font-size="12">`,
    '<rect width="100%" height="100%" fill="white"/>',
    `<text x="12" y="18" font-weight="bold">${escapeXml(model)}</text>`,
    `<g transform="translate(0 24)">${chart('reading a prompt, ms', read)}</g>`,
    `<g transform="translate(${WIDTH} 24)">${chart('writing a token, ms', write)}</g>`,
    '</svg>\n',
  ].join('\n');
}

/** Lines from 0 to a round number above the largest value, over the lengths of the prompts. */
function chart(title: string, points: readonly Point[]): string {
  const [right, top] = [Math.max(1, ...points.map(p => p.x)), roundUp(Math.max(...points.map(p => p.y), 1e-3))];
  const at = ({ x, y }: Point): Point => ({
    x: MARGIN.left + (x / right) * (WIDTH - MARGIN.left - MARGIN.right),
    y: HEIGHT - MARGIN.bottom - (y / top) * (HEIGHT - MARGIN.top - MARGIN.bottom),
  });
  const lines = [0, 0.25, 0.5, 0.75, 1].map(part => {
    const { y } = at({ x: 0, y: part * top });
    const label = `<text x="${MARGIN.left - 6}" y="${y + 4}" text-anchor="end" fill="#555">${part * top}</text>`;
    return `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${y}" y2="${y}" stroke="#ddd"/>${label}`;
  });
  const marks = points.map(point => {
    const { x, y } = at(point);
    const label = `<text x="${x}" y="${HEIGHT - MARGIN.bottom + 16}" text-anchor="middle" fill="#555">${point.x}</text>`;
    return `<circle cx="${x}" cy="${y}" r="3.5" fill="#3366cc"/>${label}`;
  });
  const path = points.map(point => `${at(point).x},${at(point).y}`).join(' ');
  const axis = `<text x="${WIDTH / 2}" y="${HEIGHT - 4}" text-anchor="middle" fill="#555">tokens before</text>`;
  const heading = `<text x="${MARGIN.left}" y="${MARGIN.top - 14}">${title}</text>`;
  return [
    heading,
    ...lines,
    `<polyline points="${path}" fill="none" stroke="#3366cc" stroke-width="2"/>`,
    ...marks,
    axis,
  ].join('\n');
}

/** The next number of 1, 2, 4 or 8 times a power of ten, whose quarters are short. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 8, 10].map(step => step * power).find(candidate => candidate >= value)!;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
