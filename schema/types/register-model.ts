import { registryRequest } from '../../src/models/registry-request.ts';
import { builder } from '../builder.ts';
import { failures, parseInput, withFailures } from '../errors.ts';
import { ModelVersion } from './model-version.ts';
import { TagInput, tagRecord } from './tag.ts';

const RegisterModelInput = builder.inputType('RegisterModelInput', {
  description: 'Which run’s model shall become a version, and of which registered model.',
  fields: (t) => ({
    modelName: t.string({
      required: true,
      description: 'The registered model, which is made when there is none: at most 250 characters, without `/:?@`.',
    }),
    runId: t.id({ required: true, description: 'MLflow’s id of the run that saved it.' }),
    description: t.string({ description: 'What people shall read of the version, at most 5000 characters.' }),
    tags: t.field({ type: [TagInput], description: 'Tags of the version, at most 100, each key once.' }),
  }),
});

builder.mutationField('registerModel', (t) =>
  t.field({
    type: ModelVersion,
    errors: {
      types: [failures.invalidInput, failures.notFound, failures.conflict, failures.unavailable],
      union: { description: 'What became of a request to register a model.' },
    },
    description:
      'Makes the model that a run saved a new version: the newest that MLflow’s `log_model` saved in it, else the pickle at ' +
      '`model/model.pkl`. A request that repeats an earlier one in every field is answered with the version that it made.',
    args: { input: t.arg({ type: RegisterModelInput, required: true, description: 'The run and the name.' }) },
    resolve: (_root, { input }, { models }) => withFailures(() => models.registerRun(parse(input))),
  }),
);

/** @throws AsgardError INVALID_INPUT with every issue, named as the input's fields are */
function parse({ modelName, runId, description, tags }: typeof RegisterModelInput.$inferInput) {
  return parseInput(
    registryRequest,
    {
      modelName,
      runId,
      description: description ?? undefined,
      tags: tagRecord(['tags'], tags),
    },
    'nothing was registered',
  );
}
