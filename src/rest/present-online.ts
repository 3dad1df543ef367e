import type { z } from 'zod';
import type { OnlineFeatures, OnlineStatus } from '../features/online.ts';
import type { onlineFeatures } from './wire-online.ts';

const NO_TIME = '1970-01-01T00:00:00Z';
/** Feast's own words. */
export const ONLINE_STATUSES = {
  PRESENT: 'PRESENT',
  MISSING: 'NOT_FOUND',
  EXPIRED: 'OUTSIDE_MAX_AGE',
} as const satisfies Record<OnlineStatus, string>;

/** The answer of `feast serve`, and ages. */
export function presentOnlineFeatures({ entities, columns }: OnlineFeatures): z.infer<typeof onlineFeatures> {
  const joinKeys = Object.entries(entities);
  const timeOf = timesOnce();
  return {
    metadata: { feature_names: [...joinKeys.map(([name]) => name), ...columns.map(({ name }) => name)] },
    results: [
      ...joinKeys.map(([, values]) => ({
        values,
        statuses: values.map(() => ONLINE_STATUSES.PRESENT),
        event_timestamps: values.map(() => NO_TIME),
        ages_seconds: values.map(() => null),
      })),
      ...columns.map(({ cells }) => ({
        values: cells.map(({ value }) => value),
        statuses: cells.map(({ status }) => ONLINE_STATUSES[status]),
        event_timestamps: cells.map(({ eventAtMs }) => timeOf(eventAtMs)),
        ages_seconds: cells.map(({ ageSeconds }) => ageSeconds),
      })),
    ],
  };
}

/** Writes each time once: all features of an entity have the same, and to write them all was most of the making of an answer. */
function timesOnce(): (eventAtMs: number | null) => string {
  const written = new Map<number | null, string>([[null, NO_TIME]]);
  return (eventAtMs) => {
    const known = written.get(eventAtMs);
    if (known !== undefined || eventAtMs === null) return known ?? NO_TIME;
    const time = isoTime(eventAtMs);
    written.set(eventAtMs, time);
    return time;
  };
}

/** With as many digits of the second as are needed: none, three or six. */
function isoTime(eventAtMs: number): string {
  const micros = Math.round(eventAtMs * 1000);
  const fraction = ((micros % 1_000_000) + 1_000_000) % 1_000_000;
  const second = new Date((micros - fraction) / 1000).toISOString().slice(0, 19);
  if (fraction === 0) return `${second}Z`;
  const digits = String(fraction).padStart(6, '0');
  return `${second}.${digits.endsWith('000') ? digits.slice(0, 3) : digits}Z`;
}
