import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where this library keeps what can be made or fetched again: `$XDG_CACHE_HOME/llava-ts`, else `~/.cache/llava-ts`. */
export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'llava-ts');
}
