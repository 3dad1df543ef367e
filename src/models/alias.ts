import { z } from 'zod';
import { AsgardError } from '../platform/errors.ts';
import { nearestNames } from './nearest-names.ts';

const MAX_NAMES_SUGGESTED = 3;

/** An alias, and the number of the version that it names. */
export interface NamedVersion {
  readonly alias: string;
  readonly version: string;
}

/**
 * The name of an alias, as it may be given. MLflow keeps `latest` and `v<number>` for itself; a number alone would be taken
 * for that of a version.
 */
export const aliasName = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[A-Za-z0-9_-]*$/, 'must be made of letters, digits, "_" and "-"')
  .regex(/^(?!latest$|v?[0-9]+$)/i, 'must not be "latest", a number, or "v" with a number: those mean versions')
  .meta({ pattern: '^(?![lL][aA][tT][eE][sS][tT]$)(?![vV]?[0-9]+$)[A-Za-z0-9_-]+$' });

/** That a model has no such alias, with the nearest of those that it has. */
export function noSuchAlias(name: string, alias: string, aliases: readonly NamedVersion[], cause?: unknown) {
  const given = aliases.map((each) => each.alias);
  const nearest = nearestNames(alias, given, MAX_NAMES_SUGGESTED);
  const shown = nearest.length > 0 ? nearest : given.slice(0, MAX_NAMES_SUGGESTED);
  const hint = shown.length === 0 ? 'it has none' : `${nearest.length > 0 ? 'similar' : 'it has'}: ${shown.join(', ')}`;
  const message = `model ${name} has no alias ${JSON.stringify(alias.slice(0, 100))}; ${hint}`;
  return new AsgardError('NOT_FOUND', message, { cause });
}
