/** @file Connections that break, servers that lie, doors that are closed. */

import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { AbortedError, LlavaError } from '../../../src/core/index.ts';
import { breakOff, COMMIT, type Fault, type HubServer, hangUp, ignoreRange, stall, status } from './hub-server.ts';
import { Site, sha256, TIMING, WEIGHTS } from './support.ts';

const LISTING = '/api/models/org/name/revision/main';
const FILE = `/org/name/resolve/${COMMIT}/model.safetensors`;
const HASH = sha256(WEIGHTS);
const IMPATIENT = { timing: { ...TIMING, attempts: 8, stallMs: 400 } };
const HASTY = { timing: { ...TIMING, attempts: 2, stallMs: 300 } };
const incomplete = (site: Site) => site.path('blobs', `${HASH}.incomplete`);

async function expectWhole(site: Site, options = {}): Promise<void> {
  const folder = await site.resolve('org/name', options);
  expect(readFileSync(join(folder, 'model.safetensors'))).toEqual(WEIGHTS);
  expect(existsSync(incomplete(site))).toBe(false);
}

const ranges = ({ server }: Site) =>
  server.requests
    .filter(({ server: where, method }) => where === 'storage' && method === 'GET')
    .map(({ range }) => range);

describe('goes on where it was', () => {
  test('when the connection breaks, again and again', async () => {
    await using site = await Site.open();
    const breaks = Array.from({ length: 9 }, () => breakOff(20_000));
    site.server.fail(`storage ${FILE}`, ...breaks);
    await expectWhole(site);
    const starts = ranges(site).map(range => Number(/^bytes=(\d+)-$/.exec(range ?? 'bytes=0-')![1]));
    expect(starts).toHaveLength(10);
    expect(starts.every((start, i) => i === 0 || start > starts[i - 1]!)).toBe(true);
  });

  test('in the next process', async () => {
    await using site = await Site.open();
    mkdirSync(site.path('blobs'), { recursive: true });
    writeFileSync(incomplete(site), WEIGHTS.subarray(0, 12_345));
    const told: number[] = [];
    await site.resolve('org/name', { onProgress: ({ bytes }) => told.push(bytes) });
    expect(ranges(site)).toEqual(['bytes=12345-']);
    expect(told.at(-1)).toBe(WEIGHTS.length + 25);
    await expectWhole(site);
  });

  test('and finds all of it there', async () => {
    await using site = await Site.open();
    mkdirSync(site.path('blobs'), { recursive: true });
    writeFileSync(incomplete(site), WEIGHTS);
    await expectWhole(site);
    expect(ranges(site)).toEqual([]);
  });

  test.each<[string, Buffer]>([
    ['other bytes', Buffer.alloc(500, 7)],
    ['more bytes than there are', Buffer.alloc(WEIGHTS.length + 1)],
  ])('but not from %s', async (_what, bytes) => {
    await using site = await Site.open();
    mkdirSync(site.path('blobs'), { recursive: true });
    writeFileSync(incomplete(site), bytes);
    await expectWhole(site);
  });

  test.each<[string, Fault]>([
    ['sends all of the file instead of the rest', ignoreRange],
    ['does not have the rest', status(416)],
    [
      'sends another part',
      (_q, r, body) => r.writeHead(206, { 'content-range': `bytes 0-9/${body.length}` }).end(body),
    ],
  ])('with a server that %s', async (_what, fault) => {
    await using site = await Site.open();
    site.server.fail(`storage ${FILE}`, breakOff(20_000), fault);
    await expectWhole(site);
  });
});

describe('tries again', () => {
  test.each<[string, Fault[]]>([
    ['status 500, 502, 503', [status(500), status(502), status(503)]],
    ['a connection that breaks before the answer', [hangUp, hangUp]],
    ['a server that falls silent', [stall]],
    ['too many requests', [status(429, { 'retry-after': '0' })]],
  ])('%s', async (_what, faults) => {
    await using site = await Site.open();
    for (const path of [LISTING, `storage ${FILE}`]) site.server.fail(path, ...faults);
    await expectWhole(site, IMPATIENT);
  });

  test('after as long as the server asks', async () => {
    await using site = await Site.open();
    site.server.fail(FILE, status(429, { 'retry-after': '1' }));
    const start = performance.now();
    await expectWhole(site);
    expect(performance.now() - start).toBeGreaterThan(990);
  });

  test('until it has been in vain too often; what has come stays', async () => {
    await using site = await Site.open();
    site.server.fail(`storage ${FILE}`, breakOff(20_000), ...Array.from({ length: 4 }, () => status(503)));
    await expect(site.resolve()).rejects.toThrow(
      `org/name: expected an answer from ${site.server.endpoint}, got status 503`,
    );
    expect(statSync(incomplete(site)).size).toBe(20_000);
    await expectWhole(site);
    expect(ranges(site).at(-1)).toBe('bytes=20000-');
  });

  test.each<[string, Fault, string | RegExp]>([
    ['nobody listens', hangUp, /expected an answer from http.*, got other side closed/],
    ['silence', stall, /expected an answer from http.*, got silence for 0.3 s/],
    ['a wait of an hour', status(429, { 'retry-after': '3600' }), 'got status 429 and to wait 60 minutes'],
    [
      'a date far away',
      status(503, { 'retry-after': 'Fri, 01 Jan 2100 00:00:00 GMT' }),
      /got status 503 and to wait \d{7,} min/,
    ],
  ])('says so: %s', async (_what, fault, message) => {
    await using site = await Site.open();
    site.server.fail(LISTING, ...Array.from({ length: TIMING.attempts }, () => fault));
    await expect(site.resolve('org/name', HASTY)).rejects.toThrow(message);
  });

  test('a port where nobody listens', async () => {
    await using site = await Site.open();
    const attempt = site.resolve('org/name', { endpoint: 'http://127.0.0.1:1' });
    await expect(attempt).rejects.toThrow(
      /^org\/name: expected an answer from http:\/\/127\.0\.0\.1:1, got .*(ECONNREFUSED|bad port)/,
    );
  });
});

describe('believes nothing', () => {
  test.each([true, false])('content of another hash (large: %s)', async large => {
    await using site = await Site.open();
    site.server.add('model.safetensors', WEIGHTS, { large });
    site.server.files.get('model.safetensors')!.etag = 'a'.repeat(large ? 64 : 40);
    await expect(site.resolve()).rejects.toThrow(
      /^model\.safetensors: expected content of hash a{40,64}, got [0-9b-f]/,
    );
    expect(existsSync(site.path('snapshots', COMMIT, 'model.safetensors'))).toBe(false);
    expect(existsSync(site.path('blobs', 'a'.repeat(large ? 64 : 40)))).toBe(false);
    expect(existsSync(site.path('refs'))).toBe(false);
  });

  test('fewer bytes than announced', async () => {
    await using site = await Site.open();
    site.server.files.get('model.safetensors')!.size = WEIGHTS.length + 1;
    await expect(site.resolve()).rejects.toThrow(/expected 200001 bytes, got 200000|got status 416/);
  });

  test('more bytes than announced: it does not read on', async () => {
    await using site = await Site.open();
    site.server.files.get('model.safetensors')!.size = 1000;
    await expect(site.resolve()).rejects.toThrow('model.safetensors: expected 1000 bytes, got more');
  });

  test('a server that lists only names is asked for the rest', async () => {
    await using site = await Site.open();
    site.server.listsBlobs = false;
    await expectWhole(site);
    site.server.files.get('model.safetensors')!.etag = '../../../escaped';
    rmSync(site.path(), { recursive: true });
    await expect(site.resolve()).rejects.toThrow(
      'expected the size and hash of model.safetensors, got 200000 and "../',
    );
  });

  test.each<[string, string, string | RegExp]>([
    ['a commit that is a path', '{"sha": "../../x", "siblings": []}', 'expected "sha", a commit, got "../../x"'],
    ['no commit', '{"siblings": []}', 'expected "sha", a commit, got undefined'],
    ['no files', '{"sha": "abc"}', 'expected "siblings", a list of files, got none'],
    ['null', 'null', 'expected "sha"'],
    ['a page', '<html>', /revision\/main\?blobs=true:1:1: expected/],
  ])('a listing with %s', async (_what, text, message) => {
    await using site = await Site.open();
    site.server.fail(LISTING, (_request, response) => void response.end(text));
    await expect(site.resolve()).rejects.toThrow(message);
  });

  test('names that lead elsewhere are no files of a model', async () => {
    await using site = await Site.open();
    for (const path of ['../../escaped.json', '/tmp/escaped.json', 'a/b.json', 'x\u0007.json', '..\\y.json'])
      site.server.add(path, '{}');
    const folder = await site.resolve();
    expect(readFileSync(join(folder, 'config.json'), 'utf8')).toContain('llava');
    expect(
      site.server.requests.filter(({ path }) => /escaped|b\.json|x|y\.json/.test(path.split(COMMIT)[1] ?? '')),
    ).toEqual([]);
  });

  test.each(['../../escaped', '/etc/passwd', 'a\nb'])('an index that names %j', async shard => {
    await using site = await Site.open();
    site.server.files.delete('model.safetensors');
    site.server.add('model.safetensors.index.json', JSON.stringify({ weight_map: { w: shard } }));
    await expect(site.resolve()).rejects.toThrow('expected a file name as shard of "w"');
  });

  test('endless listings', async () => {
    await using site = await Site.open();
    site.server.fail(LISTING, (_request, response) => {
      const more = () => response.write(Buffer.alloc(2 ** 20, 32), error => !error && more());
      more();
    });
    await expect(site.resolve()).rejects.toThrow('expected a list of files, got endless bytes');
  });
});

describe('redirects', () => {
  test('the token is for the Hub alone', async () => {
    await using site = await Site.open();
    site.server.token = 'hf_secret';
    await site.resolve('org/name', { token: 'hf_secret' });
    const shown = (where: string) =>
      new Set(site.server.requests.filter(({ server }) => server === where).map(({ token }) => token));
    expect(shown('hub')).toEqual(new Set(['hf_secret']));
    expect(shown('storage')).toEqual(new Set([undefined]));
  });

  test.each<[string, string, string]>([
    ['to a file', 'file:///etc/passwd', 'expected a redirect to an http or https URL, got "file:///etc/passwd"'],
    ['in circles', LISTING, 'expected at most 10 redirects, got more'],
  ])('%s', async (_what, location, message) => {
    await using site = await Site.open();
    site.server.fail(LISTING, ...Array.from({ length: 20 }, () => status(302, { location })));
    await expect(site.resolve()).rejects.toThrow(message);
  });

  test('a repository that has moved is found', async () => {
    await using site = await Site.open();
    const moved = LISTING.replace('org/name', 'org/old');
    site.server.fail(moved, status(307, { location: `${LISTING}?blobs=true` }));
    site.server.fail(
      `/org/old/resolve/${COMMIT}/config.json`,
      status(307, { location: `/org/name/resolve/${COMMIT}/config.json` }),
    );
    const folder = await site.resolve('org/old', { weights: false }).catch(error => error);
    expect(folder).toBeInstanceOf(LlavaError); // tokenizer.json was not said to have moved
    expect(folder.message).toContain('/org/old/resolve/');
  });
});

describe('closed doors, in plain words', () => {
  test.each<[string, (server: HubServer) => void, string | undefined, string]>([
    [
      'a private repository without a token',
      s => (s.token = 'x'),
      '',
      'got neither (a private one needs a token in HF_TOKEN)',
    ],
    ['a private repository with another token', s => (s.token = 'x'), 'y', 'got neither (nor does the token open one)'],
    [
      'a gated one without a token',
      s => {
        s.token = 'x';
        s.gated = true;
      },
      '',
      'which ENDPOINT/org/name grants on request, got no token (set HF_TOKEN)',
    ],
    [
      'a gated one with a token that has no access',
      s => {
        s.token = 'x';
        s.gated = true;
      },
      'y',
      'got a token without it',
    ],
  ])('%s', async (_what, prepare, token, message) => {
    await using site = await Site.open();
    prepare(site.server);
    const attempt = site.resolve('org/name', { token: token! });
    await expect(attempt).rejects.toThrow(message.replace('ENDPOINT', site.server.endpoint));
  });

  test('no such repository, no such revision', async () => {
    await using site = await Site.open();
    await expect(site.resolve('org/none')).rejects.toThrow(
      `org/none: expected a folder or a repository of ${site.server.endpoint}, got neither (a private one`,
    );
    await expect(site.resolve('org/name@v2')).rejects.toThrow('org/name: expected an existing revision, got "v2"');
    expect(existsSync(site.path())).toBe(false);
  });

  test("the server's own words, without what would upset a terminal", async () => {
    await using site = await Site.open();
    site.server.fail(LISTING, status(418, { 'x-error-message': 'no coffee \u009bhere' }));
    await expect(site.resolve()).rejects.toThrow(/got status 418 no coffee [^\u009b]*here$/);
  });
});

describe('no room', () => {
  test('is found before the download', async () => {
    await using site = await Site.open();
    site.server.files.get('model.safetensors')!.size = 2 ** 52;
    await expect(site.resolve()).rejects.toThrow(
      /models--org--name: expected room for 4503599627370496 bytes, got \d+$/,
    );
    expect(site.server.downloads('model.safetensors')).toBe(0);
  });

  test.skipIf(process.platform !== 'linux')('or during it', async () => {
    await using site = await Site.open();
    mkdirSync(site.path('blobs'), { recursive: true });
    symlinkSync('/dev/full', incomplete(site));
    await expect(site.resolve()).rejects.toThrow(/expected to download model\.safetensors, got ENOSPC: no space left/);
  });

  test('a cache in a file', async () => {
    await using site = await Site.open();
    const file = join(site.cache.path, 'file');
    writeFileSync(file, '');
    await expect(site.resolve('org/name', { cacheFolder: file })).rejects.toThrow(
      /expected to download into this folder, got E/,
    );
  });
});

describe('several at once', () => {
  test('each file comes once', async () => {
    await using site = await Site.open();
    site.server.fail(`storage ${FILE}`, breakOff(50_000));
    const folders = await Promise.all([site.resolve(), site.resolve(), site.resolve()]);
    expect(new Set(folders).size).toBe(1);
    await expectWhole(site);
    expect(site.server.downloads('model.safetensors')).toBe(2);
  });

  test('the lock of a process that has gone is taken over', async () => {
    await using site = await Site.open();
    const locks = join(site.cache.path, '.locks/models--org--name');
    mkdirSync(locks, { recursive: true });
    const { hostname } = await import('node:os');
    writeFileSync(join(locks, `${HASH}.llava.lock`), JSON.stringify({ pid: 2 ** 22 + 1, host: hostname() }));
    await expectWhole(site);
  });

  test('the first failure ends the others', async () => {
    await using site = await Site.open();
    for (const name of ['a.json', 'b.json', 'c.json']) site.server.add(name, name);
    site.server.fail(`/org/name/resolve/${COMMIT}/a.json`, status(404, { 'x-error-code': 'EntryNotFound' }));
    for (const name of ['b.json', 'c.json'])
      site.server.fail(`/org/name/resolve/${COMMIT}/${name}`, stall, stall, stall, stall);
    // Were the silent ones waited for, the test would run out of time.
    await expect(site.resolve('org/name', { timing: { ...TIMING, stallMs: 600_000 } })).rejects.toThrow(
      /a\.json, got status 404/,
    );
  });
});

describe('abort', () => {
  test('at once; what has come stays', async () => {
    await using site = await Site.open();
    const controller = new AbortController();
    site.server.fail(`storage ${FILE}`, (_request, response, body) => {
      response.writeHead(200, { 'content-length': body.length });
      response.write(body.subarray(0, 70_000));
    });
    const onProgress = ({ bytes }: { bytes: number }) => bytes > 70_000 && controller.abort();
    const options = { signal: controller.signal, onProgress, timing: { ...TIMING, stallMs: 20_000 } };
    await expect(site.resolve('org/name', options)).rejects.toThrow(AbortedError);
    expect(statSync(incomplete(site)).size).toBe(70_000);
    await expectWhole(site);
  });

  test('before it begins, and during a pause', async () => {
    await using site = await Site.open();
    await expect(site.resolve('org/name', { signal: AbortSignal.abort() })).rejects.toThrow(AbortedError);
    expect(site.server.requests).toEqual([]);
    site.server.fail(LISTING, status(503, { 'retry-after': '60' }));
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 50);
    await expect(site.resolve('org/name', { signal: controller.signal })).rejects.toThrow(AbortedError);
  });
});

test('a port that speaks no HTTP', async () => {
  await using site = await Site.open();
  const { createServer: listen } = await import('node:net');
  const server = listen(socket => socket.end('SSH-2.0-x\r\n'));
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await expect(site.resolve('org/name', { endpoint })).rejects.toThrow(/expected an answer from http/);
  server.close();
});
