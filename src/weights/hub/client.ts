/**
 * @file Requests to the Hub: redirects (the token goes to the Hub alone, never on to a storage server), connections that
 * stall, what is worth another attempt, and answers that are errors put into words.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { AbortedError, assert, LlavaError, throwIfAborted } from '../../core/index.ts';
import type { RepoName } from './name.ts';
import type { HubSettings } from './settings.ts';

/** How long and how often. */
export interface HubTiming {
  /** Attempts in a row that bring nothing before giving up. Default 6. */
  readonly attempts: number;
  /** Before the second attempt, ms; then twice as long each time. Default 500. */
  readonly delayMs: number;
  /** Longest silence of a server, ms. Default 30,000. */
  readonly stallMs: number;
}

export const DEFAULT_TIMING: HubTiming = { attempts: 6, delayMs: 500, stallMs: 30_000 };

/** Longest wait that a server may ask for, ms. */
const MAX_WAIT_MS = 300_000;
const MAX_REDIRECTS = 10;

/** A failure that may be gone at the next attempt. */
export class TransientError extends LlavaError {
  /** What the server asks to wait, ms. */
  readonly waitMs: number;

  constructor(message: string, { waitMs = 0, cause }: { waitMs?: number; cause?: unknown } = {}) {
    super(message, { cause });
    this.waitMs = waitMs;
  }
}

/** An answer that is no error. */
export interface HubAnswer {
  readonly response: Response;
  /** A header of the Hub's own answer, which may have sent us on to a storage server. */
  readonly header: (name: string) => string | null;
  /** The body, piece by piece. Throws {@link TransientError} when it breaks off. */
  readonly body: () => AsyncGenerator<Uint8Array>;
}

interface RequestOptions {
  readonly method?: 'GET' | 'HEAD';
  readonly headers?: Readonly<Record<string, string>>;
  readonly accept?: readonly number[];
}

/** A repository on a server. */
export class HubClient {
  readonly repo: RepoName;
  readonly settings: HubSettings;
  readonly timing: HubTiming;
  readonly #signal: AbortSignal | undefined;

  constructor(repo: RepoName, settings: HubSettings, timing: HubTiming, signal: AbortSignal | undefined) {
    this.repo = repo;
    this.settings = settings;
    this.timing = timing;
    this.#signal = signal;
  }

  /**
   * One request, whose answer `use` reads. Statuses in `accept` are no errors.
   * @throws TransientError for what another attempt may mend, else LlavaError; AbortedError when the signal has fired
   */
  async request<T>(
    path: string,
    { method = 'GET', headers = {}, accept = [] }: RequestOptions,
    use: (answer: HubAnswer) => Promise<T>,
  ): Promise<T> {
    using watch = new Watch(this.timing.stallMs, this.#signal);
    try {
      const answer = await this.#follow(`${this.settings.endpoint}${path}`, method, new Headers(headers), watch);
      const { response } = answer;
      if (!response.ok && !accept.includes(response.status)) throw refusal(this, path, answer);
      return await use(answer);
    } catch (error) {
      throwIfAborted(this.#signal, this.repo.id);
      throw error instanceof LlavaError ? error : networkError(this, watch, error);
    }
  }

  /** Repeats `action` until it does not throw a {@link TransientError}, or has failed so often without progress. */
  async retrying<T>(action: (progressed: () => void) => Promise<T>, attempts = this.timing.attempts): Promise<T> {
    let failures = 0;
    for (;;) {
      try {
        return await action(() => {
          failures = 0;
        });
      } catch (error) {
        if (!(error instanceof TransientError) || ++failures >= attempts) throw error;
        await this.#pause(Math.max(error.waitMs, this.timing.delayMs * 2 ** (failures - 1)));
      }
    }
  }

  async #pause(ms: number): Promise<void> {
    try {
      await sleep(ms, undefined, this.#signal && { signal: this.#signal });
    } catch {
      throw new AbortedError(`${this.repo.id}: aborted`);
    }
  }

  async #follow(start: string, method: string, headers: Headers, watch: Watch): Promise<HubAnswer> {
    const origin = new URL(this.settings.endpoint).origin;
    let own = new Headers();
    let url = new URL(start);
    headers.set('accept-encoding', 'identity'); // sizes and ranges are those of the file itself
    for (let i = 0; i <= MAX_REDIRECTS; i++) {
      const isHub = url.origin === origin;
      if (isHub && this.settings.token !== '') headers.set('authorization', `Bearer ${this.settings.token}`);
      else headers.delete('authorization');
      const response = await fetch(url, { method, headers, redirect: 'manual', signal: watch.signal });
      watch.touch();
      if (isHub) own = response.headers;
      const location = response.headers.get('location');
      if (location === null || response.status < 300 || response.status >= 400) return answerOf(response, own, watch);
      const next = redirected(this, location, url);
      // What is asked about a file the Hub answers itself; a storage server's links are good for reading only.
      if (method === 'HEAD' && next.origin !== origin) return answerOf(response, own, watch);
      await response.body?.cancel();
      url = next;
    }
    throw new LlavaError(`${this.repo.id}: expected at most ${MAX_REDIRECTS} redirects, got more`);
  }
}

/** Ends a request when nothing has come for too long, or when the caller gives up. */
class Watch implements Disposable {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout;
  stalled = false;

  constructor(stallMs: number, outer: AbortSignal | undefined) {
    this.#outer = outer;
    this.#timer = setTimeout(() => {
      this.stalled = true;
      this.#controller.abort();
    }, stallMs);
    if (outer?.aborted) this.#controller.abort();
    outer?.addEventListener('abort', this.#abort);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Something has come. */
  touch(): void {
    this.#timer.refresh();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener('abort', this.#abort);
    this.#controller.abort(); // lets go of a body that nobody has read to its end
  }

  readonly #abort = () => this.#controller.abort();
}

function answerOf(response: Response, own: Headers, watch: Watch): HubAnswer {
  async function* body(): AsyncGenerator<Uint8Array> {
    assert(response.body, 'an answer without a body was read');
    for await (const piece of response.body) {
      watch.touch();
      yield piece as Uint8Array;
    }
  }
  return { response, header: name => own.get(name), body };
}

function redirected({ repo }: HubClient, location: string, from: URL): URL {
  const url = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (url && /^https?:$/.test(url.protocol)) return url;
  throw new LlavaError(`${repo.id}: expected a redirect to an http or https URL, got ${JSON.stringify(location)}`);
}

function networkError({ repo, settings, timing }: HubClient, watch: Watch, error: unknown): unknown {
  if (watch.stalled) {
    const silence = `silence for ${timing.stallMs / 1000} s`;
    return new TransientError(`${repo.id}: expected an answer from ${settings.endpoint}, got ${silence}`);
  }
  // fetch throws a TypeError for all that goes wrong on the way, its cause inside; other errors are bugs.
  if (!(error instanceof TypeError) || error.cause === undefined) return error;
  const { cause } = error as { cause: Error & { code?: string } };
  const reason = [cause.message, cause.code].filter(Boolean).join(', ') || error.message;
  return new TransientError(`${repo.id}: expected an answer from ${settings.endpoint}, got ${reason}`, { cause });
}

/** The error that an answer is. The Hub says more in headers than in its status. */
function refusal(client: HubClient, path: string, { response, header }: HubAnswer): LlavaError {
  const { repo, settings } = client;
  const { status } = response;
  const code = header('x-error-code');
  if (status === 408 || status === 429 || status >= 500) return busy(client, response);
  if (code === 'GatedRepo' || (status === 403 && code === null)) return new LlavaError(gatedText(client));
  if (code === 'RevisionNotFound') {
    return new LlavaError(`${repo.id}: expected an existing revision, got ${JSON.stringify(repo.revision)}`);
  }
  const isListing = path.startsWith('/api/');
  if (code === 'RepoNotFound' || status === 401 || (status === 404 && isListing)) {
    return new LlavaError(missingText(client));
  }
  const [what] = path.split('?');
  const said = plainWords(header('x-error-message') ?? response.statusText);
  return new LlavaError(`${repo.id}: expected ${settings.endpoint}${what}, got status ${status} ${said}`.trim());
}

function missingText({ repo, settings }: HubClient): string {
  const access = settings.token === '' ? 'a private one needs a token in HF_TOKEN' : 'nor does the token open one';
  return `${repo.id}: expected a folder or a repository of ${settings.endpoint}, got neither (${access})`;
}

function gatedText({ repo, settings }: HubClient): string {
  const token = settings.token === '' ? 'no token (set HF_TOKEN)' : 'a token without it';
  return `${repo.id}: expected access, which ${settings.endpoint}/${repo.id} grants on request, got ${token}`;
}

function busy({ repo, settings }: HubClient, { status, headers }: Response): LlavaError {
  const waitMs = retryAfter(headers.get('retry-after'));
  const message = `${repo.id}: expected an answer from ${settings.endpoint}, got status ${status}`;
  if (waitMs <= MAX_WAIT_MS) return new TransientError(message, { waitMs });
  return new LlavaError(`${message} and to wait ${Math.ceil(waitMs / 60_000)} minutes`);
}

/** Milliseconds of a `Retry-After`, seconds or a date; 0 when it says nothing. */
function retryAfter(value: string | null): number {
  if (value === null) return 0;
  const seconds = Number(value);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? 0 : Math.max(0, ms);
}

/** A stranger's text, fit for one line of a terminal. */
function plainWords(text: string): string {
  return text.replace(/\p{Cc}/gu, ' ').slice(0, 200);
}
