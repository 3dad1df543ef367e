import { type Logger, pino, stdTimeFunctions } from 'pino';

export type { Logger };

/**
 * A structured logger on stderr (stdout belongs to what a command prints). Each call is one event:
 * `log.info({ jobId }, 'job.claimed')`, ids as fields, the event's name as the message.
 */
export function createLogger(level: string, pretty: boolean): Logger {
  const options = { level, base: null, timestamp: stdTimeFunctions.isoTime };
  const destination = pretty
    ? pino.transport({ target: 'pino-pretty', options: { destination: 2, ignore: 'pid,hostname' } })
    : pino.destination({ fd: 2, sync: true });
  // Whoever read the log may be gone; that is no reason to end.
  destination.on('error', () => {});
  return pino(options, destination);
}
