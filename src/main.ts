import { once } from 'node:events';
import { startApp } from './app.ts';
import { type Config, ConfigError, inheritedEnvironment, parseConfig } from './config.ts';
import { AsgardError } from './platform/errors.ts';
import { createLogger } from './platform/logger.ts';

const HELP = `Asgard: a Python training script goes in, a tracked, registered, served model comes out.

usage: npm start            (all settings are environment variables)

  HOST                 where both ports listen: 127.0.0.1 or localhost       127.0.0.1
  PORT                 API: GraphQL, REST, and MLflow's API for clients      8000
  MLFLOW_PORT          MLflow's UI and API                                   5000
  ASGARD_HOME          data folder                                           .asgard
  DATABASE_URL         a PostgreSQL for Asgard's own tables. The embedded one
                       still runs for the managed MLflow, unless
                       MLFLOW_TRACKING_URI is set too                        the embedded one
  MLFLOW_TRACKING_URI  an MLflow server to use in place of the managed one   the managed one
  ASGARD_WORKER_SLOTS  jobs that run at once                                 number of cores
  ASGARD_ENVIRONMENTS  folder of the jobs' Python environments               <ASGARD_HOME>/environments
  ASGARD_TOOLCHAIN     folder that the set-up made                           .toolchain
  ASGARD_PYTHON        the Python that the set-up uses, 3.10 to 3.13         the newest on the PATH
  ASGARD_LOG_LEVEL     trace, debug, info, warn, error, silent               info
  ASGARD_LOG_FORMAT    json, pretty                                          pretty on a terminal
`;

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
  const logger = createLogger(config.logLevel, config.logPretty);
  const stop = new AbortController();
  const stopped = once(stop.signal, 'abort').then(() => undefined);
  // A log that nobody reads any more must not end the jobs.
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});
  let fault: Error | undefined;
  process.on('uncaughtException', (error) => {
    fault ??= error;
    logger.fatal({ err: error }, 'asgard.uncaught');
    stop.abort();
  });
  // The process may be ended while it is starting, too. SIGHUP: its terminal was closed.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) {
    process.on(signal, () => {
      // Ending at once would leave PostgreSQL, MLflow and running scripts behind; what is under way has deadlines.
      if (stop.signal.aborted) return void process.stderr.write('asgard: still stopping, 10 s at most\n');
      logger.info({ signal }, 'asgard.stopping');
      stop.abort();
    });
  }
  try {
    await using app = await startApp(config, logger, stop.signal);
    process.stdout.write(
      `Asgard is listening\n  GraphiQL    ${app.url}/graphql\n  REST        ${app.url}/mlops/status\n  MLflow UI   ${app.mlflowUrl}\n`,
    );
    const failure = await Promise.race([stopped, app.failed]);
    if (failure === undefined) return fault === undefined ? 0 : 1;
    process.stderr.write(`asgard: ${failure.message}\n`);
    return 1;
  } catch (error) {
    if (stop.signal.aborted) return fault === undefined ? 0 : 1;
    if (error instanceof AsgardError) process.stderr.write(`asgard: ${error.message}\n`);
    else logger.fatal({ err: error }, 'asgard.start_failed');
    return 1;
  }
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
