import { z } from 'zod';
import { AsgardError, isSystemError } from '../platform/errors.ts';

/** Prisma's code for a transaction that got no connection in time. */
const overloaded = z.object({ code: z.literal('P2028') });

/** How the driver says that the server is not there, or left in the middle of a statement. */
const unreachable = z.object({
  meta: z.object({
    driverAdapterError: z.object({
      cause: z.discriminatedUnion('kind', [
        z.object({ kind: z.enum(['DatabaseNotReachable', 'ConnectionClosed', 'SocketTimeout']) }),
        // The server's own words: it shuts down, another process of it has crashed, it is starting.
        z.object({ kind: z.literal('postgres'), code: z.enum(['57P01', '57P02', '57P03']) }),
      ]),
    }),
  }),
});

/** What `pg` throws, without a code, for a connection that has ended under a transaction. */
const broken = z.object({
  message: z.enum([
    'Connection terminated',
    'Connection terminated unexpectedly',
    'Client has encountered a connection error and is not queryable',
  ]),
});

/** A UNIX socket that is gone with its server, which the driver has no kind for; Prisma writes a message around the system's. */
const socketGone = z.object({ code: z.literal('ENOENT'), message: z.string().regex(/\bconnect ENOENT \S/) });

/** PostgreSQL's code for a disk that is full, as the driver passes it on. */
const outOfSpace = z.object({
  meta: z.object({ driverAdapterError: z.object({ cause: z.object({ originalCode: z.literal('53100') }) }) }),
});

/** Whether a disk is full, that of the files here or that of the database. */
export function isDiskFull(error: unknown): boolean {
  return isSystemError(error, 'ENOSPC', 'EDQUOT') || outOfSpace.safeParse(error).success;
}

/**
 * What was thrown, as an expected failure: an AsgardError as it is, a database that cannot be reached, or has too much
 * to do, as UNAVAILABLE.
 * Undefined for a fault of ours.
 */
export function expectedFailure(error: unknown): AsgardError | undefined {
  if (error instanceof AsgardError) return error;
  if (overloaded.safeParse(error).success) {
    return new AsgardError('UNAVAILABLE', 'the database has too much to do; try again', { cause: error });
  }
  if (![unreachable, broken, socketGone].some((way) => way.safeParse(error).success)) return undefined;
  return new AsgardError('UNAVAILABLE', 'the database does not answer; try again', { cause: error });
}
