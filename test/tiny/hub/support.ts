import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type HubOptions, resolveRepo } from '../../../src/weights/index.ts';
import { type TemporaryFolder, temporaryFolder } from '../engine/tiny-model.ts';
import { HubServer } from './hub-server.ts';

/** Not so patient that a test would take long. */
export const TIMING = { attempts: 4, delayMs: 1, stallMs: 5_000 };

/** A server with a small model, and an empty cache. */
export class Site implements AsyncDisposable {
  readonly server: HubServer;
  readonly cache: TemporaryFolder = temporaryFolder();

  private constructor(server: HubServer) {
    this.server = server;
  }

  static async open(): Promise<Site> {
    const site = new Site(await HubServer.start());
    site.server.add('config.json', '{"model_type": "llava"}');
    site.server.add('tokenizer.json', '{}');
    site.server.add('model.safetensors', WEIGHTS, { large: true });
    return site;
  }

  get options(): HubOptions {
    const { endpoint } = this.server;
    return { endpoint, cacheFolder: this.cache.path, token: '', offline: false, timing: TIMING };
  }

  resolve(name = 'org/name', options: HubOptions = {}): Promise<string> {
    return resolveRepo(name, { ...this.options, ...options });
  }

  /** A path in the repository's part of the cache. */
  path(...parts: string[]): string {
    return join(this.cache.path, 'models--org--name', ...parts);
  }

  /** Names of blobs, none when there is no folder. */
  get blobs(): string[] {
    return existsSync(this.path('blobs')) ? readdirSync(this.path('blobs')) : [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    this.cache[Symbol.dispose]();
  }
}

/** Bytes that are all different, more than one piece of a stream. */
export const WEIGHTS = Buffer.from(Uint32Array.from({ length: 50_000 }, (_, i) => i * 2654435761).buffer);

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
export const gitHash = (bytes: Uint8Array): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
