import { defineConfig } from 'vitest/config';

/** No test asks the Hub, nor sees the models of whoever runs it. */
const OFFLINE = { HF_HUB_OFFLINE: '1', HF_HUB_CACHE: '/nonexistent', HF_TOKEN: '' };

const tier = (name: string, testTimeout: number, setupFiles: string[] = []) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout,
    pool: 'forks' as const,
    env: OFFLINE,
    setupFiles: ['test/same-bytes.ts', ...setupFiles],
  },
});

/** One project per tier, named by what its tests need. `npm test` runs `tiny`. */
export default defineConfig({
  test: {
    projects: [
      tier('tiny', 20_000, ['test/one-thread.ts']),
      tier('cpu', 600_000),
      tier('gpu', 600_000),
      tier('net', 600_000),
    ],
  },
});
