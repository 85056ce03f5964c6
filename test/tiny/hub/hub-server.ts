/**
 * @file A server on this machine that stands in for the Hub, and a second one for its storage, another origin: listing,
 * redirects, ranges, gates, and the faults that tests ask for.
 */

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const COMMIT = 'c0ffee0123456789abcdef0123456789abcdef01';

/** What goes wrong with one request; the request that has none of it left is answered as it should be. */
export type Fault = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;

export interface ServedFile {
  readonly bytes: Buffer;
  /** Stored by the second server, named by sha256. */
  readonly large: boolean;
  /** Hash and size that are announced instead of the true ones. */
  etag?: string;
  size?: number;
}

/** A repository `org/name` with one commit, and what was asked of it. */
export class HubServer implements AsyncDisposable {
  readonly files = new Map<string, ServedFile>();
  /** Each request in order; the token it showed. */
  readonly requests: { server: 'hub' | 'storage'; method: string; path: string; range?: string; token?: string }[] = [];
  /** Faults by path, each used up by one request. */
  readonly faults = new Map<string, Fault[]>();
  readonly revisions = new Set(['main', 'v1.0', 'refs/pr/1', COMMIT]);
  commit = COMMIT;
  /** Only who shows this token may see the repository, or with `gated` its files. */
  token = '';
  gated = false;
  /** The listing tells sizes and hashes. */
  listsBlobs = true;
  readonly #hub: Server;
  readonly #storage: Server;

  private constructor(hub: Server, storage: Server) {
    this.#hub = hub;
    this.#storage = storage;
  }

  static async start(): Promise<HubServer> {
    const [hub, storage] = [createServer(), createServer()];
    const server = new HubServer(hub, storage);
    hub.on('request', (request, response) => server.#answerHub(request, response));
    storage.on('request', (request, response) => server.#answerStorage(request, response));
    await Promise.all([hub, storage].map(one => new Promise<void>(done => one.listen(0, '127.0.0.1', done))));
    return server;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#hub.address() as AddressInfo).port}`;
  }

  get #storageUrl(): string {
    return `http://127.0.0.1:${(this.#storage.address() as AddressInfo).port}`;
  }

  add(path: string, content: string | Uint8Array, { large = false } = {}): void {
    this.files.set(path, { bytes: Buffer.from(content), large });
  }

  /** Lets the next requests of a path go wrong. */
  fail(path: string, ...faults: Fault[]): void {
    this.faults.set(path, faults);
  }

  /** How often the bytes of a file were asked for. */
  downloads(path: string): number {
    const place = `/org/name/resolve/${this.commit}/${path}`;
    return this.requests.filter(
      ({ server, method, path: asked }) => server === 'hub' && method === 'GET' && asked === place,
    ).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of [this.#hub, this.#storage]) {
      server.closeAllConnections();
      await new Promise(done => server.close(done));
    }
  }

  #note(server: 'hub' | 'storage', { method, url, headers }: IncomingMessage): string {
    const path = decodeURIComponent(url!.split('?')[0]!);
    const { range, authorization } = headers;
    this.requests.push({
      ...{ server, method: method!, path },
      ...(range !== undefined && { range }),
      ...(authorization !== undefined && { token: authorization.replace('Bearer ', '') }),
    });
    return path;
  }

  #answerHub(request: IncomingMessage, response: ServerResponse): void {
    const path = this.#note('hub', request);
    const fault = this.faults.get(path)?.shift();
    const isListing = path.startsWith('/api/');
    const isOpen = this.token === '' || request.headers.authorization === `Bearer ${this.token}`;
    if (fault) fault(request, response, this.#bodyOf(path));
    else if (!isOpen && !(this.gated && isListing)) this.#refuse(response);
    else if (isListing) this.#list(path, response);
    else this.#serve(path, request, response);
  }

  #refuse(response: ServerResponse): void {
    const [status, code] = this.gated ? [403, 'GatedRepo'] : [401, 'RepoNotFound'];
    response.writeHead(status, { 'x-error-code': code }).end('{"error":"no"}');
  }

  #list(path: string, response: ServerResponse): void {
    const [, id, revision] = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/(.+)$/.exec(path) ?? [];
    if (id !== 'org/name') this.#missing(response, 'RepoNotFound');
    else if (!this.revisions.has(revision!)) this.#missing(response, 'RevisionNotFound');
    else response.end(JSON.stringify({ id, sha: this.commit, siblings: this.#siblings() }));
  }

  #siblings(): object[] {
    return Array.from(this.files, ([rfilename, file]) => {
      if (!this.listsBlobs) return { rfilename };
      const { etag, size } = announced(file);
      const lfs = file.large ? { lfs: { sha256: etag, size, pointerSize: 134 } } : {};
      return { rfilename, size, blobId: file.large ? 'f'.repeat(40) : etag, ...lfs };
    });
  }

  #serve(path: string, request: IncomingMessage, response: ServerResponse): void {
    const file = this.files.get(path.split('/').slice(5).join('/'));
    if (!file || !path.startsWith(`/org/name/resolve/${this.commit}/`)) this.#missing(response, 'EntryNotFound');
    else {
      const { etag, size } = announced(file);
      const location = `${this.#storageUrl}${path}?signed`;
      response.setHeader('x-repo-commit', this.commit);
      if (!file.large) send(file.bytes, { etag: `"${etag}"` }, request, response);
      else response.writeHead(302, { 'x-linked-etag': `"${etag}"`, 'x-linked-size': size, location }).end();
    }
  }

  #answerStorage(request: IncomingMessage, response: ServerResponse): void {
    const path = this.#note('storage', request);
    const fault = this.faults.get(`storage ${path}`)?.shift();
    const body = this.#bodyOf(path);
    if (fault) fault(request, response, body);
    else if (request.method === 'HEAD')
      response.writeHead(403).end(); // signed for reading only
    else send(body, { etag: '"of the storage"' }, request, response);
  }

  #bodyOf(path: string): Buffer {
    return this.files.get(path.split('/').slice(5).join('/'))?.bytes ?? Buffer.alloc(0);
  }

  #missing(response: ServerResponse, code: string): void {
    response.writeHead(404, { 'x-error-code': code }).end('{"error":"not found"}');
  }
}

function announced({ bytes, large, etag, size }: ServedFile): { etag: string; size: number } {
  const hash = large
    ? createHash('sha256').update(bytes)
    : createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes);
  return { etag: etag ?? hash.digest('hex'), size: size ?? bytes.length };
}

function send(bytes: Buffer, headers: object, request: IncomingMessage, response: ServerResponse): void {
  const [, begin] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? [];
  const from = Number(begin ?? 0);
  if (from > 0 && from >= bytes.length) {
    response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
    return;
  }
  const range = begin === undefined ? {} : { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
  const length = { 'content-length': bytes.length - from };
  response.writeHead(begin === undefined ? 200 : 206, { ...headers, ...length, ...range });
  response.end(request.method === 'HEAD' ? undefined : bytes.subarray(from));
}

/** Sends the first `count` bytes of what was asked for, and breaks the connection. */
export const breakOff =
  (count: number): Fault =>
  (request, response, body) => {
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const range = from > 0 ? { 'content-range': `bytes ${from}-${body.length - 1}/${body.length}` } : {};
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': body.length - from, ...range });
    response.write(body.subarray(from, from + count), () => setTimeout(() => request.socket.destroy(), 5));
  };

/** Answers with a status and headers. */
export const status =
  (code: number, headers: Record<string, string> = {}): Fault =>
  (_request, response) => {
    response.writeHead(code, headers).end();
  };

/** Breaks the connection before any answer. */
export const hangUp: Fault = request => {
  request.socket.destroy();
};

/** Sends headers and a beginning, and then nothing any more. */
export const stall: Fault = (_request, response) => {
  response.writeHead(200, { 'content-length': 1000 });
  response.write(' ');
};

/** Sends all of it whatever part was asked for. */
export const ignoreRange: Fault = (_request, response, body) => {
  response.writeHead(200).end(body);
};
