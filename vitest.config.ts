import { defineConfig } from 'vitest/config';

// A child that writes no bytecode starts mlflow in 7 s instead of 2.
delete process.env['PYTHONDONTWRITEBYTECODE'];

// Vite would load graphql's ESM build for our files while packages load the CommonJS one; graphql refuses to meet itself.
export const resolve = { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] };
/** No limit is there but to end what hangs: a busy machine takes its time. */
export const shared = {
  testTimeout: 120_000,
  hookTimeout: 240_000,
  expect: { poll: { timeout: 90_000 } },
  pool: 'forks',
} as const;
/** For every run, whichever its projects: the count of the last one ends it. */
export const run = { maxWorkers: 2, reporters: ['default', './test/support/count-reporter.ts'] };

export default defineConfig({
  test: {
    ...run,
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
