import type { EngineName } from '../../src/inference/engine.ts';
import { builder } from '../builder.ts';

export const ServingEngineType = builder.enumType('ServingEngine', {
  description: 'What runs a model.',
  values: {
    PYTHON: {
      value: 'python',
      description: 'A Python process apart, in the environment that it was trained in.',
    },
    ONNX: { value: 'onnx', description: 'The platform itself, as it was compiled and proved to be the same.' },
  } as const satisfies Record<string, { value: EngineName; description: string }>,
});
