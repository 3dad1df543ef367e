import { describe, expect, test } from 'vitest';
import { entityColumns } from '../../src/inference/entity-columns.ts';
import { trainedFeatures } from '../../src/jobs/trained-features.ts';

const columnsOf = (...names: string[]) => names.map((name) => ({ name, type: null }));
const read = (featureView: string, features: string[], changes: object | null = {}) => ({
  featureView,
  features,
  retrieval: changes && { view: featureView, join_keys: { id: 'id' }, full_feature_names: false, ...changes },
});
const ask = (entities: Record<string, unknown[]>, inputs: Record<string, unknown[]> = {}) => ({
  inputs,
  entities,
  maxFeatureAgeSeconds: undefined,
});

/** `column: view:feature` of what is read. */
function wanted(columns: string[], reads: ReturnType<typeof read>[], request = ask({ id: [1] })): string[] {
  const found = entityColumns(columnsOf(...columns), request, trainedFeatures(reads));
  return found.wanted.map(({ column, view, feature }) => `${column}: ${view}:${feature}`);
}

describe('a column of a model', () => {
  test('is the feature that the training set called so', () => {
    const full = { full_feature_names: true };
    expect(wanted(['b', 'a'], [read('v', ['a', 'b', 'c'])])).toEqual(['b: v:b', 'a: v:a']);
    expect(wanted(['v__a', 'a'], [read('v', ['a'], full)])).toEqual(['v__a: v:a']);
    expect(wanted(['x__a'], [read('x', ['a'], { ...full, view: 'v' })])).toEqual(['x__a: v:a']);
    expect(wanted(['a', 'v__a'], [read('v', ['a']), read('v', ['a'], full)])).toEqual(['a: v:a', 'v__a: v:a']);
  });

  test('may have either name where a read does not tell how the training set had it', () => {
    expect(wanted(['a', 'v__b'], [read('v', ['a', 'b'], null)])).toEqual(['a: v:a', 'v__b: v:b']);
  });

  test('is one feature however often it was read, and none that could be another', () => {
    expect(wanted(['a'], [read('v', ['a']), read('v', ['a', 'b'])])).toEqual(['a: v:a']);
    const both = [read('v', ['a']), read('w', ['a'])];
    expect(() => wanted(['a'], both)).toThrow('v:a and w:a');
    expect(() => wanted(['a'], [read('v', ['a']), read('v', ['a'], { join_keys: { id: 'other' } })])).toThrow(
      'v:a by different join keys',
    );
    expect(wanted(['a', 'b'], [...both, read('v', ['b'])], ask({ id: [1] }, { a: [1] }))).toEqual(['b: v:b']);
  });

  test('is the join key where no feature has its name', () => {
    const found = entityColumns(columnsOf('id', 'a'), ask({ id: [1] }), trainedFeatures([read('v', ['a'])]));
    expect(found.joinKeys).toEqual(['id']);
  });

  test('of another version of a view says which', () => {
    const [feature] = trainedFeatures([read('v@v2', ['a'], { view: 'v' })]);
    expect(feature).toMatchObject({ view: 'v', viewName: 'v', version: 2 });
  });
});

test('join keys of features that are not read are no mistake and are left out; others are', () => {
  const trained = trainedFeatures([read('v', ['a']), read('w', ['b'], { join_keys: { id: 'shop' } })]);
  const entities = (given: Record<string, unknown[]>) => entityColumns(columnsOf('a'), ask(given), trained).entities;
  expect(entities({ id: [1], shop: [2] })).toEqual({ id: [1] });
  expect(() => entities({ id: [1], shopp: [2] })).toThrow('there is no join key "shopp"; did you mean "shop"?');
});
