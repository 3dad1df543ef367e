import type { CompileStatus } from '../../src/database/generated/enums.ts';
import {
  type Compilation,
  type CompileProof,
  compilationOf,
  PROOF_SOURCES,
  type ProofSource,
} from '../../src/inference/compiled/proof.ts';
import { ENGINE_NAMES } from '../../src/inference/engine.ts';
import { builder } from '../builder.ts';
import { recordOf } from '../loaders.ts';
import { ModelVersion } from './model-version.ts';
import { ServingEngineType } from './serving-engine.ts';

const CompileStatusType = builder.enumType('CompileStatus', {
  description: 'Whether a model version was compiled.',
  values: {
    PENDING: { description: 'It waits for it, or is being compiled.' },
    COMPILED: { description: 'It was, and proved to be the same.' },
    REFUSED: { description: 'It cannot be, or nobody could prove that it is the same.' },
  } satisfies Record<CompileStatus, object>,
});

const ProofSourceType = builder.enumType('ProofSource', {
  description: 'Where rows are from that were compared.',
  values: {
    EXAMPLE: { value: 'example', description: 'What the version was tried with.' },
    TRAINING: { value: 'training', description: 'A file that its training may have read.' },
    GENERATED: { value: 'generated', description: 'Made up within the range that the model was trained in.' },
    SPLITS: { value: 'splits', description: 'One step to either side of a split that a tree makes.' },
  } as const satisfies Record<string, { value: ProofSource; description: string }>,
});

const ProofRows = builder.objectRef<{ source: ProofSource; count: number }>('ProofRows').implement({
  description: 'Rows that were compared.',
  fields: (t) => ({
    source: t.expose('source', { type: ProofSourceType, description: 'Where they are from.' }),
    count: t.exposeInt('count', { description: 'How many there were.' }),
  }),
});

const Proof = builder.objectRef<CompileProof>('CompilationProof').implement({
  description: 'How it was made sure that a compiled model says the same as the original.',
  fields: (t) => ({
    rows: t.field({
      type: [ProofRows],
      description: 'The rows that both predicted, by where they are from.',
      resolve: ({ rows }) =>
        PROOF_SOURCES.flatMap((source) => {
          const count = rows[source];
          return count === undefined ? [] : { source, count };
        }),
    }),
    splits: t.exposeInt('splits', { description: 'How many splits its trees make; 0 of a model without trees.' }),
    splitsTested: t.exposeInt('splits_tested', {
      description: 'For how many of them rows to either side were compared.',
    }),
    largestDifference: t.exposeFloat('largest_difference', {
      description: 'The largest difference between two numbers, as a part of the larger. Labels were equal.',
    }),
    tolerance: t.exposeFloat('tolerance', { description: 'What that might have been.' }),
    seconds: t.exposeFloat('seconds', { description: 'How long compiling and comparing took.' }),
    totalSeconds: t.exposeFloat('all_seconds', {
      nullable: true,
      description: 'How long it took with the making of the environment for it.',
    }),
    sizeBytes: t.exposeFloat('size_bytes', { description: 'The size of the compiled model’s file.' }),
    sha256: t.exposeString('sha256', { description: 'The SHA-256 of that file, in hexadecimal digits.' }),
  }),
});

const ModelCompilation = builder.objectRef<Compilation>('ModelCompilation').implement({
  description: 'What came of compiling a model version.',
  fields: (t) => ({
    status: t.expose('status', { type: CompileStatusType, description: 'Whether it was compiled.' }),
    refusal: t.exposeString('refusal', { nullable: true, description: 'Why it was not, in one line.' }),
    proof: t.expose('proof', {
      type: Proof,
      nullable: true,
      description: 'How it was made sure that it is the same; null while it is not compiled.',
    }),
  }),
});

builder.objectFields(ModelVersion, (t) => ({
  servingEngine: t.field({
    type: ServingEngineType,
    nullable: true,
    description: 'What runs it; null while it is not known to work.',
    resolve: async (version, _args, context) => {
      const record = await recordOf(context).load(version);
      return record?.status === 'SERVABLE' ? ENGINE_NAMES[record.engine] : null;
    },
  }),
  compilation: t.field({
    type: ModelCompilation,
    nullable: true,
    description: 'What came of compiling it, which is done after it was seen to work; null before that.',
    resolve: async (version, _args, context) => compilationOf(await recordOf(context).load(version)),
  }),
}));
