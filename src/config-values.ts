import { isAbsolute, resolve } from 'node:path';
import { z } from 'zod';

/*
 * Kinds of values that variables of the environment have. Each says what it must be.
 */

export const MEBIBYTE = 2 ** 20;
export const GIBIBYTE = 2 ** 30;

/** A folder, from the working directory. */
export const folder = z
  .string()
  .min(1)
  .transform((path) => (isAbsolute(path) ? path : resolve(path)));

/** @param unit of what: `MiB` */
export function wholeNumber(from: number, to: number, unit?: string) {
  const rule = `must be a whole number${unit === undefined ? '' : ` of ${unit}`} from ${from} to ${to}`;
  return z
    .string()
    .regex(/^\d{1,9}$/, rule)
    .transform(Number)
    .refine((value) => value >= from && value <= to, rule);
}

/** One of some words. */
export function oneOf<const Word extends string>(...words: [Word, ...Word[]]) {
  const rest = words.slice(0, -1).join(', ');
  return z.enum(words, { error: `must be ${rest === '' ? '' : `${rest} or `}${words.at(-1)}` });
}

export const onOff = oneOf('on', 'off').transform((value) => value === 'on');

/** Texts with commas between them, each of which must be good. */
export function list(isGood: (text: string) => boolean, rule: string) {
  return z
    .string()
    .transform((text) => text.split(',').map((part) => part.trim()))
    .refine((parts) => parts.every(isGood), rule);
}

/** The address of a server, without a user or password. */
export const serverUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' })
  .refine((url) => new URL(url).username === '' && new URL(url).password === '', 'must not hold a user or a password');
