import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type GraphQLNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedScalarType,
  isUnionType,
  lexicographicSortSchema,
  printSchema,
} from 'graphql';
import { describe, expect, it } from 'vitest';
import { graphqlSchema } from '../../schema/index.ts';
import { REFUSAL_STATUS } from '../../src/auth/refusal.ts';
import { PROJECT_ROOT } from '../../src/config.ts';
import { JobStatus } from '../../src/database/generated/enums.ts';
import { ERROR_CODES } from '../../src/platform/errors.ts';

const schema = graphqlSchema();
const types = Object.values(schema.getTypeMap()).filter(
  (type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type),
);

describe('the GraphQL schema', () => {
  it('is what schema/schema.graphql says', async () => {
    const written = await readFile(join(PROJECT_ROOT, 'schema/schema.graphql'), 'utf8');
    // After a change on purpose: node scripts/print-schema.ts
    expect(`${printSchema(lexicographicSortSchema(schema))}\n`).toBe(written);
  });

  it('describes every type, field, argument, input field and enum value, by more than its name', () => {
    const described = types.flatMap(descriptionsOf);
    expect(described.length).toBeGreaterThan(300);
    expect(described.filter(([name, description]) => isEmptyOrName(name, description))).toEqual([]);
  });

  it.each([
    ['Job.tags', undefined],
    ['Job.tags', ' '],
    ['Job.tags', 'Its tags.'],
    ['Job.modelName', 'The name of the model.'],
    ['Job.startedAt', 'Started at'],
    ['JobStatus.TIMED_OUT', 'timed out!'],
  ])('does not take it for a description of %s: %j', (name, description) => {
    expect(isEmptyOrName(name, description)).toBe(true);
  });

  it('says of whatever is deprecated what to use instead', () => {
    const reasons = types.flatMap(deprecationsOf);
    expect(reasons.filter(([, reason]) => !/^(Use `.+`|Nothing replaces it)/.test(reason))).toEqual([]);
  });

  it('has a member for every failure, and only failures, beside the success of a result union', () => {
    const unions = types.filter(isUnionType);
    expect(unions.map(({ name }) => name).sort()).toEqual([
      'ApplyFeatureServiceResult',
      'ApplyFeatureViewResult',
      'CancelTrainingJobResult',
      'DeleteFeatureServiceResult',
      'DeleteFeatureViewResult',
      'DeleteIcebergTableResult',
      'DeleteModelAliasResult',
      'DeleteModelResult',
      'DeleteModelVersionResult',
      'DeployModelResult',
      'FeatureViewPlanResult',
      'MaterializeFeatureViewsResult',
      'PredictResult',
      'RegisterModelResult',
      'SetModelAliasResult',
      'SubmitTrainingJobResult',
      'UpdateModelResult',
      'UpdateModelVersionResult',
    ]);
    for (const union of unions) {
      const successes = union.getTypes().filter((type) => !type.getInterfaces().some(({ name }) => name === 'Error'));
      expect(successes).toHaveLength(1);
    }
  });

  it('knows every code of the tables of errors and every status of a job', () => {
    const codes = [...Object.keys(ERROR_CODES), ...Object.keys(REFUSAL_STATUS)];
    expect(codes.filter((code) => !valuesOf('ErrorCode').includes(code))).toEqual([]);
    expect(valuesOf('JobStatus')).toEqual(Object.values(JobStatus).sort());
  });

  it('gives every list that can grow as a connection of the Relay shape', () => {
    const connections = types.filter((type) => isObjectType(type) && type.name.endsWith('Connection'));
    expect(connections.length).toBeGreaterThan(4);
    for (const connection of connections) {
      if (!isObjectType(connection)) continue;
      expect(Object.keys(connection.getFields())).toEqual(expect.arrayContaining(['edges', 'pageInfo']));
    }
  });
});

function valuesOf(name: string): string[] {
  const type = schema.getType(name);
  if (!isEnumType(type)) throw new Error(`${name} is no enum`);
  return type
    .getValues()
    .map((value) => value.name)
    .sort();
}

/** What a type and everything in it is called, and what is said of it. */
function descriptionsOf(type: GraphQLNamedType): [name: string, description: string | null | undefined][] {
  return membersOf(type).map(([name, { description }]) => [name, description]);
}

function deprecationsOf(type: GraphQLNamedType): [name: string, reason: string][] {
  return membersOf(type).flatMap(([name, { deprecationReason }]) =>
    deprecationReason == null ? [] : [[name, deprecationReason] as [string, string]],
  );
}

interface Member {
  readonly description?: string | null | undefined;
  readonly deprecationReason?: string | null | undefined;
}

function membersOf(type: GraphQLNamedType): [name: string, member: Member][] {
  const found: [string, Member][] = [[type.name, { description: type.description }]];
  if (isEnumType(type))
    found.push(...type.getValues().map((value): [string, Member] => [`${type.name}.${value.name}`, value]));
  if (isObjectType(type) || isInterfaceType(type) || isInputObjectType(type)) {
    for (const field of Object.values(type.getFields())) {
      found.push([`${type.name}.${field.name}`, field]);
      const args: readonly (Member & { name: string })[] = 'args' in field ? field.args : [];
      found.push(
        ...args.map((argument): [string, Member] => [`${type.name}.${field.name}(${argument.name})`, argument]),
      );
    }
  }
  return found;
}

const FILLERS = new Set(['a', 'an', 'and', 'at', 'of', 'or', 'the', 'its', 'it', 'is', 'was', 'this']);

/** Whether nothing is said but what the name says: all of its words are of the name, whatever stands between them. */
function isEmptyOrName(name: string, description: string | null | undefined): boolean {
  const last = /(\w+)\)?$/.exec(name)?.[1] ?? '';
  const wordsOf = (text: string) =>
    text
      .toLowerCase()
      .split(/[^a-z0-9]+/)
      .filter((word) => word !== '' && !FILLERS.has(word));
  const named = new Set(wordsOf(last.replace(/([a-z])([A-Z])/g, '$1 $2')));
  return wordsOf(description ?? '').every((word) => named.has(word) || named.has(word.replace(/s$/, '')));
}
