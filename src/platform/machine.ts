import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/**
 * What a machine is called as long as its processes last: its name, for people, and on Linux the beginning of the kernel's boot
 * id, as two machines may have one name. Containers of one machine differ by their names alone.
 */
export function machineName(): string {
  return [hostname(), bootId().slice(0, 8)].filter((part) => part !== '').join('.');
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    return '';
  }
}
