import { registryChange } from '../../src/models/registry-changes.ts';
import { builder } from '../builder.ts';
import { failures, parseInput, withFailures } from '../errors.ts';
import { RegisteredModel } from './model.ts';
import { ModelVersion } from './model-version.ts';
import { TagInput, tagRecord } from './tag.ts';

const ModelChange = builder.inputType('ModelChange', {
  description: 'What shall change of a registered model or of a version; what is absent stays.',
  fields: (t) => ({
    description: t.string({ description: 'What people shall read of it, at most 5000 characters; empty: nothing.' }),
    tags: t.field({
      type: [TagInput],
      description: 'Tags to set, beside those that are there or in their place; each key once, at most 100.',
    }),
    removeTags: t.stringList({
      description: 'The keys of tags to remove, at most 100; one that is not there is fine.',
    }),
  }),
});

const DeletedModel = builder.objectRef<{ readonly name: string }>('DeletedModel').implement({
  description: 'A registered model that is gone.',
  fields: (t) => ({ name: t.exposeString('name', { description: 'What it was called; a new one may be called so.' }) }),
});

const DeletedVersion = builder
  .objectRef<{ readonly name: string; readonly version: string }>('DeletedModelVersion')
  .implement({
    description: 'A version of a registered model that is gone.',
    fields: (t) => ({
      name: t.exposeString('name', { description: 'The registered model that it was a version of.' }),
      version: t.exposeString('version', { description: 'Its number, which no later version gets.' }),
    }),
  });

const CHANGE = [failures.invalidInput, failures.notFound, failures.unavailable];
const DELETION = [failures.notFound, failures.conflict, failures.unavailable];

builder.mutationFields((t) => {
  const name = t.arg.string({ required: true, description: 'The name of the registered model.' });
  const version = t.arg.string({ required: true, description: 'The number of the version, as text.' });
  const change = t.arg({ type: ModelChange, required: true, description: 'What shall change.' });
  return {
    updateModel: t.field({
      type: RegisteredModel,
      errors: { types: CHANGE, union: { description: 'What became of a request to change a registered model.' } },
      description: 'Changes what a registered model is described and tagged with.',
      args: { name, change },
      resolve: (_root, { name, change }, { registry }) => withFailures(() => registry.updateModel(name, parse(change))),
    }),
    updateModelVersion: t.field({
      type: ModelVersion,
      errors: { types: CHANGE, union: { description: 'What became of a request to change a version.' } },
      description: 'Changes what a version is described and tagged with.',
      args: { name, version, change },
      resolve: (_root, { name, version, change }, { registry }) =>
        withFailures(() => registry.updateVersion(name, version, parse(change))),
    }),
    deleteModel: t.field({
      type: DeletedModel,
      errors: { types: DELETION, union: { description: 'What became of a request to delete a registered model.' } },
      description:
        'Deletes a registered model with all its versions; their files stay with the runs that logged them. It is a conflict ' +
        'while the model has an alias.',
      args: { name },
      resolve: (_root, { name }, { registry }) => withFailures(() => registry.deleteModel(name)),
    }),
    deleteModelVersion: t.field({
      type: DeletedVersion,
      errors: { types: DELETION, union: { description: 'What became of a request to delete a version.' } },
      description:
        'Deletes a version of a registered model; its files stay with the run that logged them. It is a conflict while an ' +
        'alias names it.',
      args: { name, version },
      resolve: (_root, { name, version }, { registry }) => withFailures(() => registry.deleteVersion(name, version)),
    }),
  };
});

/** @throws AsgardError INVALID_INPUT with every issue, named as the input's fields are */
function parse({ description, tags, removeTags }: typeof ModelChange.$inferInput) {
  return parseInput(
    registryChange,
    {
      description: description ?? undefined,
      tags: tagRecord(['tags'], tags),
      removeTags: removeTags ?? undefined,
    },
    'nothing was changed',
  );
}
