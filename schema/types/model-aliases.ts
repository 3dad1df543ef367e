import type { NamedVersion } from '../../src/models/alias.ts';
import type { MovedAlias } from '../../src/models/registry.ts';
import { aliasMove } from '../../src/models/registry-changes.ts';
import { builder } from '../builder.ts';
import { failures, parseInput, withFailures } from '../errors.ts';
import { ModelVersion } from './model-version.ts';

const Moved = builder.objectRef<MovedAlias>('MovedModelAlias').implement({
  description: 'An alias that names another version now.',
  fields: (t) => ({
    modelVersion: t.field({
      type: ModelVersion,
      description: 'The version that it was made to name.',
      resolve: ({ version }) => version,
    }),
    previousVersion: t.exposeString('previousVersion', {
      nullable: true,
      description: 'The number of the version that it named before; null when there was no such alias.',
    }),
  }),
});

const Deleted = builder.objectRef<NamedVersion>('DeletedModelAlias').implement({
  description: 'An alias that is gone.',
  fields: (t) => ({
    alias: t.exposeString('alias', { description: 'What it was called.' }),
    version: t.exposeString('version', { description: 'The number of the version that it named.' }),
  }),
});

builder.mutationFields((t) => ({
  setModelAlias: t.field({
    type: Moved,
    errors: {
      types: [failures.invalidInput, failures.notFound, failures.conflict, failures.unavailable],
      union: { description: 'What became of a request to have an alias name a version.' },
    },
    description:
      'Has an alias name a version of a model, whatever it named before. Of several at once the last wins. A version that ' +
      'nobody has tried is tried first; one that cannot be served is a conflict, with the reason.',
    args: {
      name: t.arg.string({ required: true, description: 'The name of the registered model.' }),
      alias: t.arg.string({
        required: true,
        description: 'Letters, digits, `_` and `-`, at most 255; neither `latest` nor a number nor `v1`.',
      }),
      version: t.arg.string({ required: true, description: 'The number of the version, as text.' }),
      force: t.arg.boolean({
        defaultValue: false,
        description: 'Also a version that is refused: it is served elsewhere.',
      }),
    },
    resolve: (_root, { name, ...move }, { registry }) => withFailures(() => registry.setAlias(name, parse(move))),
  }),
  deleteModelAlias: t.field({
    type: Deleted,
    errors: {
      types: [failures.notFound, failures.unavailable],
      union: { description: 'What became of a request to delete an alias.' },
    },
    description: 'Deletes an alias; the version that it names stays.',
    args: {
      name: t.arg.string({ required: true, description: 'The name of the registered model.' }),
      alias: t.arg.string({ required: true, description: 'Which of its aliases.' }),
    },
    resolve: (_root, { name, alias }, { registry }) => withFailures(() => registry.deleteAlias(name, alias)),
  }),
}));

/** @throws AsgardError INVALID_INPUT with every issue */
function parse({ force, ...rest }: { alias: string; version: string; force?: boolean | null | undefined }) {
  return parseInput(aliasMove, { ...rest, force: force ?? undefined }, 'the alias was not moved');
}
