import type { z } from 'zod';
import type { OnlineCell, OnlineFeatures, OnlineStatus } from '../features/online.ts';
import type { onlineFeatures } from './wire-online.ts';

const NO_TIME = '1970-01-01T00:00:00Z';
/** Feast's own words. */
const STATUSES = {
  PRESENT: 'PRESENT',
  MISSING: 'NOT_FOUND',
  EXPIRED: 'OUTSIDE_MAX_AGE',
} as const satisfies Record<OnlineStatus, string>;

/** The answer of `feast serve`, and ages. */
export function presentOnlineFeatures({ entities, columns }: OnlineFeatures): z.infer<typeof onlineFeatures> {
  const joinKeys = Object.entries(entities);
  return {
    metadata: { feature_names: [...joinKeys.map(([name]) => name), ...columns.map(({ name }) => name)] },
    results: [
      ...joinKeys.map(([, values]) => ({
        values,
        statuses: values.map(() => STATUSES.PRESENT),
        event_timestamps: values.map(() => NO_TIME),
        ages_seconds: values.map(() => null),
      })),
      ...columns.map(({ cells }) => ({
        values: cells.map(({ value }) => value),
        statuses: cells.map(({ status }) => STATUSES[status]),
        event_timestamps: cells.map(timeOf),
        ages_seconds: cells.map(({ ageSeconds }) => ageSeconds),
      })),
    ],
  };
}

/** With as many digits of the second as are needed: none, three or six. */
function timeOf({ eventAtMs }: OnlineCell): string {
  if (eventAtMs === null) return NO_TIME;
  const micros = Math.round(eventAtMs * 1000);
  const fraction = ((micros % 1_000_000) + 1_000_000) % 1_000_000;
  const second = new Date((micros - fraction) / 1000).toISOString().slice(0, 19);
  if (fraction === 0) return `${second}Z`;
  const digits = String(fraction).padStart(6, '0');
  return `${second}.${digits.endsWith('000') ? digits.slice(0, 3) : digits}Z`;
}
