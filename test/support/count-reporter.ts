import type { Reporter, SerializedError, TestModule } from 'vitest/node';

/**
 * Ends a run with a line for each test that failed, `failed: FILE > NAME`, and vitest's own figures as one plain line:
 * `N passed, N failed`, and `, N skipped` where some were.
 */
export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    const counts = { passed: 0, failed: errors.length, skipped: 0 };
    const failed = errors.map(({ message }) => `an error outside of any test: ${message}`);
    for (const module of modules) {
      // A file that could not be loaded has no test that could fail.
      if (module.state() === 'failed' && module.errors().length > 0) {
        counts.failed += 1;
        failed.push(module.relativeModuleId);
      }
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state !== 'pending') counts[state] += 1;
        if (state === 'failed') failed.push(`${module.relativeModuleId} > ${test.fullName}`);
      }
    }
    const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
    const lines = failed.map((name) => `failed: ${name.split('\n', 1)[0]}\n`);
    process.stdout.write(`\n${lines.join('')}${counts.passed} passed, ${counts.failed} failed${skipped}\n`);
  }
}
