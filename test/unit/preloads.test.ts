import { describe, expect, it } from 'vitest';
import { Preloads } from '../../src/python/preloads.ts';
import { importsOf, usesFeast } from '../../src/python/script-imports.ts';

describe('the imports of a script', () => {
  it('are those at its top level, by the names of modules', () => {
    const script = `#!/usr/bin/env python
from __future__ import annotations
import os, sys as system
import scipy.stats as stats  # statistics
import json; import never
from sklearn import ensemble, metrics as m
from pandas import DataFrame
from lightgbm import (
    LGBMClassifier,
)
from . import sibling
import train
import this
def f():
    import late
`;
    expect(importsOf(script, 'train.py')).toEqual([
      'os',
      'sys',
      'scipy.stats',
      'json',
      'sklearn',
      'sklearn.ensemble',
      'sklearn.metrics',
      'pandas',
      'lightgbm',
    ]);
  });

  it('are bounded, whatever a script holds', () => {
    const many = Array.from({ length: 500 }, (_, index) => `import m${index}`).join('\n');
    expect(importsOf(many, 's.py')).toHaveLength(50);
    expect(
      importsOf(`import ${'a'.repeat(500)}\nimport a-b, 1x, ../etc\nfrom x import ${'y,'.repeat(1e5)}`, 's.py'),
    ).toEqual(['x', 'x.y']);
  });
});

describe('a script uses the feature store', () => {
  it.each([
    'import feast',
    'import os, feast as f',
    'from feast import FeatureStore',
    'def f():\n    from feast.types import Int64',
    'import os; import feast',
  ])('when it imports feast anywhere: %j', (script) => {
    expect(usesFeast(script)).toBe(true);
  });

  it.each(['import feasting', '# import feast', 'from . import feast', 'x = "feast"', 'import mlflow.feast'])(
    'and not when it does not: %j',
    (script) => {
      expect(usesFeast(script)).toBe(false);
    },
  );
});

describe('what a launcher has ready', () => {
  it('is what scripts were seen to import, and a launcher that lacks what they import often is behind', () => {
    const preloads = new Preloads();
    preloads.saw(['torch', 'numpy']);
    preloads.saw(['torch', 'torch.nn', 'rarely']);
    expect(preloads.modules).toEqual(['torch', 'numpy', 'torch.nn', 'rarely']);
    expect(preloads.isBehind([], new Set())).toBe(false);
    preloads.saw(['torch', 'torch.nn']);
    preloads.saw(['torch.nn']);
    expect(preloads.isBehind([], new Set(['numpy']))).toBe(true);
    expect(preloads.isBehind([], new Set(['torch']))).toBe(false);
    // It tried, and has it not: the next one would not have it either.
    expect(preloads.isBehind(['torch', 'torch.nn'], new Set())).toBe(false);
  });

  it('is never again what a launcher came to its end by', () => {
    const preloads = new Preloads();
    preloads.saw(['deadly', 'good']);
    preloads.exclude(['deadly']);
    for (let count = 0; count < 5; count += 1) preloads.saw(['deadly']);
    expect(preloads.modules).toEqual(['good']);
    expect(preloads.isBehind([], new Set())).toBe(false);
  });

  it('is bounded', () => {
    const preloads = new Preloads();
    for (let count = 0; count < 5000; count += 1) preloads.saw([`m${count}`]);
    expect(preloads.modules).toHaveLength(64);
    expect(preloads.modules).not.toContain('m0');
  });
});
