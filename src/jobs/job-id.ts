import { randomBytes } from 'node:crypto';
import { AsgardError } from '../platform/errors.ts';

/** 16 hexadecimal digits. */
export function newJobId(): string {
  return randomBytes(8).toString('hex');
}

/** Keeps what can be no id from the database, which refuses some characters. @throws AsgardError NOT_FOUND */
export function checkJobId(id: string): void {
  if (!/^[0-9a-f]{16}$/.test(id)) throw noSuchJob(id);
}

export function noSuchJob(id: string): AsgardError {
  return new AsgardError('NOT_FOUND', `there is no job ${JSON.stringify(id.slice(0, 100))}`);
}
