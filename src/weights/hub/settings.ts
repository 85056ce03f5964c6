/** @file Where the Hub and its cache are, by the environment variables that Python's `huggingface_hub` reads. */

import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { LlavaError } from '../../core/index.ts';

/** Which server, which cache, whose access. */
export interface HubSettings {
  /** URL without a slash at its end. `HF_ENDPOINT`, else https://huggingface.co. */
  readonly endpoint: string;
  /** `HF_HUB_CACHE`, else `hub` in `HF_HOME`, else ~/.cache/huggingface/hub. */
  readonly cacheFolder: string;
  /** `HF_TOKEN`, else what the login of Python left in `HF_HOME`; '' for none. */
  readonly token: string;
  /** `HF_HUB_OFFLINE`: use what the cache holds, and ask nobody. */
  readonly offline: boolean;
}

/** Environment variables. */
type Environment = Readonly<Record<string, string | undefined>>;

/** What the environment says, with `given` in its place where that says something. Throws {@link LlavaError} on nonsense. */
export function hubSettings(given: Partial<HubSettings> = {}, environment: Environment = process.env): HubSettings {
  const home = homeFolder(environment);
  const { HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_ENDPOINT, HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE } = environment;
  const cacheFolder = given.cacheFolder ?? (HF_HUB_CACHE || HUGGINGFACE_HUB_CACHE || join(home, 'hub'));
  return {
    endpoint: checkedEndpoint(given.endpoint ?? (HF_ENDPOINT || 'https://huggingface.co')),
    cacheFolder: expandHome(cacheFolder),
    token: checkedToken(given.token ?? environmentToken(environment, home)),
    offline: given.offline ?? isTrue(HF_HUB_OFFLINE || TRANSFORMERS_OFFLINE),
  };
}

function homeFolder({ HF_HOME, XDG_CACHE_HOME }: Environment): string {
  return expandHome(HF_HOME || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface'));
}

function expandHome(path: string): string {
  return path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : path;
}

function isTrue(value: string | undefined): boolean {
  return /^(1|on|yes|true)$/i.test(value ?? '');
}

function environmentToken({ HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_TOKEN_PATH }: Environment, home: string): string {
  const stated = HF_TOKEN || HUGGING_FACE_HUB_TOKEN;
  if (stated) return stated;
  try {
    return readFileSync(expandHome(HF_TOKEN_PATH || join(home, 'token')), 'utf8');
  } catch {
    return ''; // nobody has logged in
  }
}

/** A token goes into a header: other characters would be an error that shows it. */
function checkedToken(token: string): string {
  const trimmed = token.trim();
  if (/^[\x21-\x7e]*$/.test(trimmed)) return trimmed;
  throw new LlavaError('token of the Hub (HF_TOKEN or its file): expected printable letters, got something else');
}

function checkedEndpoint(endpoint: string): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url && /^https?:$/.test(url.protocol)) return endpoint.replace(/\/+$/, '');
  throw new LlavaError(`HF_ENDPOINT: expected an http or https URL, got ${JSON.stringify(endpoint)}`);
}
