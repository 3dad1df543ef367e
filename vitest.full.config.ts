import { defineConfig } from 'vitest/config';
import { resolve, run, shared } from './vitest.config.ts';

/** What `npm run test:full` runs beside `npm test`: tests that need more than Node and Python, or some minutes. */
export default defineConfig({
  test: {
    ...run,
    projects: [
      {
        resolve,
        test: {
          ...shared,
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          globalSetup: ['test/support/global-platform.ts'],
        },
      },
      { resolve, test: { ...shared, name: 'fuzz', include: ['test/fuzz/**/*.test.ts'] } },
      { resolve, test: { ...shared, name: 'lifecycle-full', include: ['test/lifecycle-full/**/*.test.ts'] } },
      { resolve, test: { ...shared, name: 'survival', include: ['test/survival/**/*.test.ts'] } },
      // One suite, on moto's S3 and on a server that keeps files.
      { resolve, test: { ...shared, name: 's3', include: ['test/s3-full/**/*.test.ts'] } },
    ],
  },
});
