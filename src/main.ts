import './platform/production.ts';

import { once } from 'node:events';
import { type App, startApp } from './app.ts';
import { type Config, ConfigError, inheritedEnvironment, parseConfig } from './config.ts';
import { HELP, unknownSettings } from './help.ts';
import { AsgardError } from './platform/errors.ts';
import { createLogger } from './platform/logger.ts';

/** Exit codes: 0 after an orderly end, 1 when the start failed, 2 for a bad configuration. */
async function main(): Promise<number> {
  if (process.argv.includes('--help') || process.argv.includes('-h')) {
    process.stdout.write(HELP);
    return 0;
  }
  const [unknown] = process.argv.slice(2);
  if (unknown !== undefined) {
    process.stderr.write(`asgard: unknown argument ${unknown}; see --help\n`);
    return 2;
  }
  const config = readConfig();
  if (config === null) return 2;
  for (const line of unknownSettings(inheritedEnvironment())) process.stderr.write(`asgard: ${line}\n`);
  const logger = createLogger(config.logLevel, config.logPretty);
  const stop = new AbortController();
  const stopped = once(stop.signal, 'abort').then(() => undefined);
  // A log that nobody reads any more must not end the jobs.
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});
  let fault: Error | undefined;
  let running: App | undefined;
  let cancelling: Promise<void> | undefined;
  process.on('uncaughtException', (error) => {
    fault ??= error;
    logger.fatal({ err: error }, 'asgard.uncaught');
    stop.abort();
  });
  // The process may be ended while it is starting, too. SIGHUP: its terminal was closed.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) {
    process.on(signal, () => {
      // Ending at once would leave PostgreSQL and MLflow behind; what is under way has deadlines.
      if (stop.signal.aborted) {
        process.stderr.write('asgard: still stopping, 10 s at most; running jobs are cancelled\n');
        cancelling ??= running?.cancelJobs('the platform was shut down');
        return;
      }
      logger.info({ signal }, 'asgard.stopping');
      stop.abort();
    });
  }
  try {
    await using app = await startApp(config, logger, stop.signal);
    running = app;
    process.stdout.write(
      `Asgard is listening\n  ${config.hasGraphiql ? 'GraphiQL' : 'GraphQL '}    ${app.url}/graphql\n  REST        ${app.url}/docs\n  MLflow UI   ${app.mlflowUrl}\n`,
    );
    void app.ready.then(() => logger.info({ seconds: Math.round(performance.now() / 100) / 10 }, 'asgard.ready'));
    if (app.lessApart !== null) process.stderr.write(`asgard: ${app.lessApart}\n`);
    const failure = await Promise.race([stopped, app.failed]);
    const jobs = await app.runningJobs();
    if (jobs > 0) process.stderr.write(goingOn(jobs));
    if (failure === undefined) return fault === undefined ? 0 : 1;
    process.stderr.write(`asgard: ${failure.message}\n`);
    return 1;
  } catch (error) {
    if (stop.signal.aborted) return fault === undefined ? 0 : 1;
    if (error instanceof AsgardError) process.stderr.write(`asgard: ${error.message}\n`);
    else logger.fatal({ err: error }, 'asgard.start_failed');
    return 1;
  } finally {
    await cancelling;
    if (running !== undefined) logger.info('asgard.stopped');
  }
}

function goingOn(jobs: number): string {
  const [what, whom] = jobs === 1 ? ['1 running job goes', 'it'] : [`${jobs} running jobs go`, 'them'];
  return `asgard: ${what} on; the next start takes ${whom} up again. Ctrl-C again cancels ${whom}.\n`;
}

function readConfig(): Config | null {
  try {
    return parseConfig(inheritedEnvironment(), process.stderr.isTTY);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`asgard: ${error.message}\n`);
    return null;
  }
}

// Everything has been ended by now: a timer that a library forgot must not hold the process.
process.exit(await main());
