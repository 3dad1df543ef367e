/** The header `Server-Timing` (W3C): parts by name, in milliseconds. */
export function serverTiming(parts: Iterable<readonly [string, number]>): string {
  return Array.from(parts, ([name, milliseconds]) => `${name};dur=${milliseconds.toFixed(3)}`).join(', ');
}
