export { repoOfSnapshot } from './cache.ts';
export type { HubTiming } from './client.ts';
export { type DownloadProgress, type HubOptions, resolveModel, resolveRepo } from './resolve.ts';
export type { HubSettings } from './settings.ts';
