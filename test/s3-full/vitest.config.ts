import { defineConfig } from 'vitest/config';

// A child that writes no bytecode starts mlflow in 7 s instead of 2.
delete process.env['PYTHONDONTWRITEBYTECODE'];

/** The suite of the bucket on a real S3 server: not among the tests that run everywhere, since Go builds the server. */
export default defineConfig({
  resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
  test: {
    name: 's3-full',
    root: import.meta.dirname,
    include: ['**/*.test.ts'],
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 240_000,
    reporters: ['default', '../support/count-reporter.ts'],
  },
});
