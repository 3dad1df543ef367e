import { defineConfig } from 'vitest/config';

// A child that writes no bytecode starts mlflow in 7 s instead of 2.
delete process.env['PYTHONDONTWRITEBYTECODE'];

// Vite would load graphql's ESM build for our files while packages load the CommonJS one; graphql refuses to meet itself.
const resolve = { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] };
const shared = { testTimeout: 60_000, hookTimeout: 240_000, pool: 'forks' } as const;

export default defineConfig({
  test: {
    maxWorkers: 2,
    reporters: ['default', './test/support/count-reporter.ts'],
    projects: [
      { resolve, test: { ...shared, name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      { resolve, test: { ...shared, name: 'integration', include: ['test/integration/**/*.test.ts'] } },
      { resolve, test: { ...shared, name: 'lifecycle', include: ['test/lifecycle/**/*.test.ts'] } },
      {
        resolve,
        test: {
          ...shared,
          name: 'acceptance',
          include: ['test/acceptance/**/*.test.ts'],
          globalSetup: ['test/support/global-platform.ts'],
        },
      },
    ],
  },
});
