import type { ServableVersion } from '../../src/database/generated/client.ts';
import type { ExampleSource, ServableStatus } from '../../src/database/generated/enums.ts';
import { builder } from '../builder.ts';
import { recordOf } from '../loaders.ts';
import { ModelVersion } from './model-version.ts';

const ServableStatusType = builder.enumType('ServableStatus', {
  description: 'Whether a registered model version works.',
  values: {
    CHECKING: { description: 'It is being tried.' },
    SERVABLE: { description: 'It was loaded, and predicted an example where there was one: it is served.' },
    REFUSED: { description: 'It cannot be served: requests for predictions of it are refused.' },
  } satisfies Record<ServableStatus, object>,
});

const ExampleSourceType = builder.enumType('ExampleSource', {
  description: 'What a model version was tried with.',
  values: {
    INPUT_EXAMPLE: { description: 'The example that it was logged with.' },
    TRAINING_ROWS: { description: 'Rows of a file that its training may have read, with all of its columns.' },
    SIGNATURE: { description: 'A row made of its signature.' },
    FEATURE_NAMES: { description: 'A row made of the names or the number of columns that it was fitted to.' },
  } satisfies Record<ExampleSource, object>,
});

/** What trying a model measured. */
export interface Measured {
  readonly warning: string | null;
  readonly exampleSource: ExampleSource | null;
  readonly loadSeconds: number | null;
  readonly p50Ms: number | null;
  readonly peakMemoryBytes: number | bigint | null;
}

export const ModelMeasures = builder.interfaceRef<Measured>('ModelMeasures').implement({
  description: 'What was measured when a model version was tried; null where it did not come that far.',
  fields: (t) => ({
    warning: t.exposeString('warning', {
      nullable: true,
      description:
        'Why it predicted nothing and is served all the same, in one line: only rows that were made for it could be tried.',
    }),
    exampleSource: t.expose('exampleSource', {
      type: ExampleSourceType,
      nullable: true,
      description:
        'What it predicted; null also when no row could be found or made that it takes: then it was only loaded.',
    }),
    loadSeconds: t.exposeFloat('loadSeconds', { nullable: true, description: 'How long it took to be loaded.' }),
    p50Ms: t.exposeFloat('p50Ms', {
      nullable: true,
      description: 'The median of some predictions of the example, in milliseconds.',
    }),
    peakMemoryBytes: t.float({
      nullable: true,
      description: 'The most memory in bytes that its process held, with its libraries.',
      resolve: ({ peakMemoryBytes }) => (peakMemoryBytes === null ? null : Number(peakMemoryBytes)),
    }),
  }),
});

const ModelCheck = builder.objectRef<ServableVersion>('ModelCheck').implement({
  description: 'What came of trying a model version, in a clean process, as it is served.',
  interfaces: [ModelMeasures],
  fields: (t) => ({
    status: t.expose('status', { type: ServableStatusType, description: 'Whether it works.' }),
    refusal: t.exposeString('refusal', { nullable: true, description: 'Why it is refused, in one line.' }),
    traceback: t.exposeString('traceback', {
      nullable: true,
      description: 'What Python said of it, as far as it did; the end of it, when it is long.',
    }),
    checkedAt: t.expose('checkedAt', {
      type: 'DateTime',
      description: 'When the check ended, or began while it lasts.',
    }),
    signature: t.field({
      type: 'JSON',
      nullable: true,
      description: 'Its `inputs`, `outputs` and `params` as MLflow writes them; null when they are not known.',
      resolve: ({ signature }) => signature,
    }),
  }),
});

builder.objectField(ModelVersion, 'check', (t) =>
  t.field({
    type: ModelCheck,
    nullable: true,
    description: 'What came of trying it; null when it was not tried yet, which is done when it is first used.',
    resolve: (version, _args, context) => recordOf(context).load(version),
  }),
);
