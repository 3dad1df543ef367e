import { isIP } from 'node:net';

/** Whether what listens at a host, a name or an address without brackets, can be reached from this machine alone. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
