import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32, deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LlavaError } from '../../../src/core/index.ts';
import { decodeImage } from '../../../src/processor/image/index.ts';
import { goldenFile, readGolden, sha256 } from './support.ts';

interface Decoded {
  readonly mode: string;
  readonly width: number;
  readonly height: number;
  readonly sha256: string;
}

const { files } = readGolden<{ files: Record<string, Decoded> }>('decode.json');
const bytesOf = (name: string): Uint8Array => new Uint8Array(readFileSync(goldenFile(name)));

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llava-decode-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('decodeImage', () => {
  it.each(Object.entries(files))("gives Pillow's pixels for %s", async (name, expected) => {
    const { width, height, data } = await decodeImage(goldenFile(name));
    expect([width, height]).toEqual([expected.width, expected.height]);
    expect(sha256(data)).toBe(expected.sha256);
  });

  it('takes a path, a URL and bytes', async () => {
    const image = await decodeImage(goldenFile('420.jpg'));
    expect(await decodeImage(fileURLToPath(goldenFile('420.jpg')))).toEqual(image);
    expect(await decodeImage(bytesOf('420.jpg'))).toEqual(image);
    const shifted = new Uint8Array([0, ...bytesOf('plain.gif')]).subarray(1);
    expect(await decodeImage(shifted)).toEqual(await decodeImage(goldenFile('plain.gif')));
  });

  it('decodes pictures side by side', async () => {
    const names = Object.keys(files);
    const images = await Promise.all(names.map(name => decodeImage(goldenFile(name))));
    expect(images.map(({ data }) => sha256(data))).toEqual(names.map(name => files[name]!.sha256));
  });
});

describe('decodeImage refuses', () => {
  const message = (source: string | URL | Uint8Array, options = {}) =>
    decodeImage(source, options).then(
      () => 'decoded',
      error => {
        expect(error).toBeInstanceOf(LlavaError);
        expect(error.message).not.toContain('\n');
        return error.message as string;
      },
    );

  it('a missing file, a folder, a device and a web address', async () => {
    const missing = join(folder, 'none.jpg');
    expect(await message(missing)).toBe(`image ${missing}: expected a readable file, got no such file`);
    expect(await message(folder)).toBe(`image ${folder}: expected a file, got a folder`);
    expect(await message('/dev/null')).toBe('image /dev/null: expected a regular file, got a device, pipe or socket');
    const web = 'https://a.example/b.jpg';
    expect(await message(web)).toBe(`image ${web}: expected a readable file, got no such file`);
    expect(await message(new URL(web))).toBe(
      `image ${web}: expected a readable file, got The URL must be of scheme file`,
    );
    expect(await message('a\0b')).toMatch(/^image a\0b: expected a readable file, got The argument/);
  });

  it('what is not an image of a known kind, whatever its name says', async () => {
    const path = join(folder, 'page.jpg');
    await writeFile(path, '<svg xmlns="http://www.w3.org/2000/svg"/>');
    expect(await message(path)).toBe(
      `image ${path}: expected a JPEG, PNG, WebP or GIF image, got data that starts with 3c 73 76 67 20 78 6d 6c`,
    );
    expect(await message(new Uint8Array())).toBe(
      'image of 0 bytes: expected a JPEG, PNG, WebP or GIF image, got an empty file',
    );
    expect(await message(new Uint8Array(3), { name: 'number 2' })).toContain('image number 2: expected a JPEG');
  });

  it('pictures without pixels', async () => {
    expect(await message(emptyPng(0, 5))).toMatch(/^image of \d+ bytes: expected at least one pixel, got 0 × 5$/);
    expect(await message(patched('420.jpg', jpegSize('420.jpg'), [0, 0]))).toMatch(
      /expected .* JPEG image, got .*mpty/,
    );
    expect(await message(patched('plain.gif', 6, [0, 0, 0, 0, 0, 0, 0]))).toContain('expected');
  });

  it('decompression bombs, by their header and before decoding', async () => {
    const limit = 'expected at most 100000000 pixels (option maxPixels), got';
    const start = performance.now();
    expect(await message(emptyPng(100_000, 100_000))).toContain(`${limit} 100000 × 100000`);
    expect(await message(emptyPng(30_000, 30_000))).toContain(`${limit} 30000 × 30000`);
    expect(await message(patched('420.jpg', jpegSize('420.jpg'), [0xff, 0x00, 0xff, 0x00]))).toContain(limit);
    expect(await message(patched('plain.gif', 6, [0xff, 0xff, 0xff, 0xff]))).toContain(`${limit} 65535 × 65535`);
    expect(await message(emptyPng(100_000, 1))).toContain('expected at most 65535 pixels a side (option maxSide)');
    expect(performance.now() - start).toBeLessThan(2000);
  });

  it('less than the default limits when asked, and more', async () => {
    const png = bytesOf('rgb-8.png');
    expect(await message(png, { maxPixels: 1000 })).toContain('at most 1000 pixels (option maxPixels), got 37 × 29');
    expect(await message(png, { maxSide: 36 })).toContain('at most 36 pixels a side (option maxSide), got 37 × 29');
    expect(await message(emptyPng(100_000, 1), { maxSide: 100_000 })).toBe('decoded');
  });

  it('truncated pictures', async () => {
    for (const name of ['420.jpg', 'progressive.jpg', 'rgb-8.png', 'rgb-8-adam7.png', 'lossy.webp', 'lossless.webp']) {
      const bytes = bytesOf(name);
      for (const part of [0.05, 0.3, 0.6, 0.95, 0.99]) {
        const cut = bytes.subarray(0, Math.floor(bytes.length * part));
        expect(await message(cut), `${name} ${part}`).toMatch(/^image of \d+ bytes: expected .* image, got /);
      }
    }
    const gif = bytesOf('plain.gif');
    for (let length = 6; length < gif.length - 4; length += 3) {
      expect(await message(gif.subarray(0, length))).toContain(
        'expected a whole GIF image, got a file that ends early',
      );
    }
  });

  it('or decodes whatever bytes it is given, and neither hangs nor crashes', async () => {
    const starts = ['420.jpg', 'progressive.jpg', 'palette-4.png', 'lossy.webp', 'animated.gif', 'cmyk.jpg'].map(
      bytesOf,
    );
    const change = fc.tuple(fc.nat(), fc.nat(255));
    const mutated = fc
      .tuple(fc.constantFrom(...starts), fc.array(change, { minLength: 1, maxLength: 6 }))
      .map(([bytes, changes]) =>
        changes.reduce((copy, [at, byte]) => copy.fill(byte, at % copy.length, (at % copy.length) + 1), bytes.slice()),
      );
    const noise = fc
      .tuple(fc.constantFrom(...starts), fc.uint8Array({ maxLength: 300 }))
      .map(([bytes, tail]) => Uint8Array.from([...bytes.subarray(0, 30), ...tail]));
    const property = fc.asyncProperty(fc.oneof(mutated, noise), async bytes => {
      const text = await message(bytes, { maxPixels: 1e6 });
      expect(text).toMatch(/^decoded$|^image of \d+ bytes: expected .*, got /);
    });
    await fc.assert(property, { numRuns: 300 });
  });
});

/** `bytes` of a file with some of them replaced. */
function patched(name: string, at: number, bytes: readonly number[]): Uint8Array {
  const copy = bytesOf(name);
  copy.set(bytes, at);
  return copy;
}

/** Offset of height and width in a baseline JPEG's frame header. */
function jpegSize(name: string): number {
  return Buffer.from(bytesOf(name)).indexOf(Buffer.from([0xff, 0xc0])) + 5;
}

/** A black picture of 1 bit a pixel; the data is cut at a million bytes. */
function emptyPng(width: number, height: number): Uint8Array {
  const size = Buffer.alloc(13);
  size.writeUInt32BE(width, 0);
  size.writeUInt32BE(height, 4);
  size[8] = 1;
  const rows = Buffer.alloc(Math.min(1e6, (Math.ceil(width / 8) + 1) * height));
  const chunks = [chunk('IHDR', size), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))];
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), ...chunks]);
}

function chunk(kind: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(kind), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}
