import { defineConfig } from 'vitest/config';

const tier = (name: string, testTimeout: number) => ({
  test: { name, include: [`test/${name}/**/*.test.ts`], testTimeout, pool: 'forks' as const },
});

/** One project per tier, named by what its tests need. `npm test` runs `tiny`. */
export default defineConfig({
  test: { projects: [tier('tiny', 20_000), tier('cpu', 600_000), tier('gpu', 600_000), tier('net', 600_000)] },
});
