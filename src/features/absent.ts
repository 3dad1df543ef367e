import { nearestNames } from '../models/nearest-names.ts';
import { AsgardError } from '../platform/errors.ts';

/** NOT_FOUND for a name that nothing has, with the nearest that something has. @param what `feature view` and the like */
export function notFound(what: string, name: string, names: readonly string[]): AsgardError {
  const [nearest] = nearestNames(name, names, 1);
  const instead = nearest === undefined ? '' : `; did you mean "${nearest}"?`;
  return new AsgardError('NOT_FOUND', `there is no ${what} "${name.slice(0, 300)}"${instead}`);
}
