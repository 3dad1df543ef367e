import { defineConfig } from 'vitest/config';

// A child that writes no bytecode starts mlflow in 7 s instead of 2.
delete process.env['PYTHONDONTWRITEBYTECODE'];

const shared = { testTimeout: 60_000, hookTimeout: 240_000, pool: 'forks' } as const;

export default defineConfig({
  test: {
    maxWorkers: 2,
    reporters: ['default', './test/support/count-reporter.ts'],
    projects: [
      { test: { ...shared, name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      { test: { ...shared, name: 'integration', include: ['test/integration/**/*.test.ts'] } },
      {
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
