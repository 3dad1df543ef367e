import { WHOLE_NUMBERS } from './compiled/whole-numbers.ts';

const WHOLE_NUMBER = /^(0|-?[1-9]\d{0,18})$/;

/**
 * A value of the online store, or of a join key, as a model takes it: those have whole numbers beyond 2^53 as strings of their
 * digits, and times as seconds since 1970.
 * @param type of the model's column, by MLflow's name
 */
export function inputOf(value: unknown, type: string | null): unknown {
  if (type === 'datetime' && typeof value === 'number') return new Date(value * 1000).toISOString();
  if (typeof value !== 'string' || type === null || !WHOLE_NUMBERS.has(type) || !WHOLE_NUMBER.test(value)) return value;
  return Number.isSafeInteger(Number(value)) ? Number(value) : JSON.rawJSON(value);
}
