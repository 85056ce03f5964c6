/** @file Names of models: `org/name` or `org/name@revision`, as opposed to paths. */

import { LlavaError } from '../../core/index.ts';

/** A repository of the Hub at one revision. */
export interface RepoName {
  /** `org/name`. */
  readonly id: string;
  /** Branch, tag or commit. */
  readonly revision: string;
}

const DEFAULT_REVISION = 'main';
const PART = /^[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9_])?$/;
const MAX_LENGTH = 96;

/** The repository that `name` stands for; undefined when it can only be a path. */
export function parseRepoName(name: string): RepoName | undefined {
  const at = name.indexOf('@');
  const id = at < 0 ? name : name.slice(0, at);
  const parts = id.split('/');
  const fits = parts.length === 2 && parts.every(part => PART.test(part)) && id.length <= MAX_LENGTH;
  if (!fits || /--|\.\.|\.git$/.test(id)) return undefined;
  return { id, revision: at < 0 ? DEFAULT_REVISION : checkedRevision(name, name.slice(at + 1)) };
}

/** A revision becomes part of URLs and of paths in the cache. */
function checkedRevision(name: string, revision: string): string {
  if (isPlainPath(revision)) return revision;
  throw new LlavaError(`${name}: expected a branch, tag or commit after @, got ${JSON.stringify(revision)}`);
}

/** True for a relative path that stays below where it starts, on every system. */
export function isPlainPath(path: string): boolean {
  const parts = path.split('/');
  return parts.every(part => /^[^\\:*?"<>|\p{Cc}]+$/u.test(part) && !/^\.+$/.test(part));
}

/** True for a commit hash, which never changes its meaning. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}
