import { z } from 'zod';

/** Text that every store on the way can hold: PostgreSQL and a process's environment refuse NUL, UTF-8 a lone surrogate. */
export function storableText(maxLength: number) {
  return z
    .string()
    .max(maxLength)
    .refine((value) => !value.includes('\0'), 'must not contain a NUL character')
    .refine((value) => value.isWellFormed(), 'must be well-formed Unicode')
    .meta({ pattern: '^[^\\u0000]*$' });
}

/** What a name does not hold at its ends, as a JSON Schema's pattern has it. */
const OUTER = '[^\\s\\ufeff\\u0000-\\u001f\\u007f-\\u009f]';
const INNER = '[^\\u0000-\\u001f\\u007f-\\u009f]';

/** A name: at least one character, no white space around it, and no control character, which could drive a terminal. */
export function nameText(maxLength: number) {
  return storableText(maxLength)
    .min(1)
    .refine((value) => value.trim() === value, 'must not begin or end with white space')
    .refine((value) => !/[^\P{Cc}\0]/u.test(value), 'must not contain control characters')
    .meta({ pattern: `^${OUTER}(${INNER}*${OUTER})?$` });
}

/** Whether the databases, ours and MLflow's, can hold a text. What they cannot hold names nothing that exists. */
export function isStorableText(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}
