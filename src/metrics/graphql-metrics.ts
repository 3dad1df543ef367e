import { getOperationAST } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { Counter, Histogram } from 'prom-client';
import type { Registry } from '../platform/metrics.ts';

const TYPES = ['query', 'mutation', 'subscription'] as const;

/**
 * Makes a plugin that counts operations, over whichever transport they come: by their type, since names are the caller's
 * own. An expected failure in a result union is `ok`; a document that is no valid one has the type `invalid`.
 */
export function graphqlMetrics(registry: Registry): Plugin {
  const registers = [registry];
  const operations = new Counter({
    name: 'mlops_graphql_operations_total',
    help: 'GraphQL operations, by type and by whether their result had errors; a subscription counts when it begins.',
    labelNames: ['type', 'status'],
    registers,
  });
  const durations = new Histogram({
    name: 'mlops_graphql_operation_duration_seconds',
    help: 'Time to execute a GraphQL query or mutation.',
    labelNames: ['type'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30],
    registers,
  });
  for (const type of TYPES) for (const status of ['ok', 'error']) operations.inc({ type, status }, 0);
  for (const type of ['query', 'mutation']) durations.zero({ type });
  const refuse = () => operations.inc({ type: 'invalid', status: 'error' });
  operations.inc({ type: 'invalid', status: 'error' }, 0);
  return {
    onParse:
      () =>
      ({ result }) => {
        if (result instanceof Error) refuse();
      },
    onValidate:
      () =>
      ({ valid }) => {
        if (!valid) refuse();
      },
    onExecute: ({ args }) => {
      const type = getOperationAST(args.document, args.operationName)?.operation ?? 'query';
      const startedAt = performance.now();
      return {
        onExecuteDone: ({ result }) => {
          operations.inc({ type, status: hasErrors(result) ? 'error' : 'ok' });
          durations.observe({ type }, (performance.now() - startedAt) / 1000);
        },
      };
    },
    onSubscribe: () => ({
      onSubscribeResult: ({ result }) => {
        operations.inc({ type: 'subscription', status: hasErrors(result) ? 'error' : 'ok' });
      },
    }),
  };
}

function hasErrors(result: unknown): boolean {
  return typeof result === 'object' && result !== null && 'errors' in result && result.errors !== undefined;
}
