import { EnvelopArmor } from '@escape.tech/graphql-armor';
import {
  type ExecutionArgs,
  GraphQLError,
  getVariableValues,
  Kind,
  NoSchemaIntrospectionCustomRule,
  type OperationDefinitionNode,
  type ValidationContext,
} from 'graphql';
import { type ComplexityEstimator, getComplexity } from 'graphql-query-complexity/esm';
import type { Plugin } from 'graphql-yoga';
import { DEFAULT_PAGE_SIZE } from '../../schema/builder.ts';
import type { SentCode } from '../../schema/error-code.ts';

/** Levels of fields; a list within a list takes six, introspection is not counted. */
const MAX_DEPTH = 20;
const MAX_ALIASES = 50;
const MAX_DIRECTIVES = 50;
/** Of a document; the longest that GraphiQL sends has 400. */
const MAX_TOKENS = 5_000;
/** Fields that an operation may have resolved, its lists taken as long as they were asked to be. */
const MAX_COST = 50_000;
/** Selections that are looked at, fragments counted wherever they are spread. */
const MAX_SELECTIONS = 10_000;

/**
 * Bounds what one operation can ask for, before any of it runs, over HTTP and WebSockets alike. What exceeds a bound is
 * refused with the code TOO_COMPLEX, the bound and what was found.
 * @returns plugins, by a type that armor's and Yoga's have in common
 */
export function graphqlLimits(options: { hasIntrospection: boolean }): object[] {
  const { hasIntrospection } = options;
  const own = { propagateOnRejection: false, onReject: [report] };
  const armor = new EnvelopArmor({
    maxDepth: { n: MAX_DEPTH, flattenFragments: true, ...own },
    maxAliases: { n: MAX_ALIASES, ...own },
    maxDirectives: { n: MAX_DIRECTIVES, ...own },
    // Thrown, since the parser must stop.
    maxTokens: { n: MAX_TOKENS, onReject: [(_context, error) => void Object.assign(error.extensions, TOO_COMPLEX)] },
    // Its cost takes `first: $n` for one item.
    costLimit: { enabled: false },
    blockFieldSuggestion: { enabled: !hasIntrospection },
  });
  const { plugins } = armor.protect();
  return [...plugins, limitCost, ...(hasIntrospection ? [] : [refuseIntrospection])];
}

const TOO_COMPLEX = { code: 'TOO_COMPLEX' satisfies SentCode, isRetryable: false };

function report(context: ValidationContext | null, error: GraphQLError): void {
  context?.reportError(tooComplex(error.message.replace('Syntax Error: ', '')));
}

function tooComplex(message: string): GraphQLError {
  // A copy: Yoga writes the status to answer with into it.
  return new GraphQLError(message, { extensions: { ...TOO_COMPLEX } });
}

/** When the variables are known, since they may say how long a list is. */
const limitCost: Plugin = {
  onExecute: ({ args, setResultAndStopExecution }) => {
    const error = costErrorOf(args);
    if (error !== undefined) setResultAndStopExecution({ errors: [error] });
  },
  onSubscribe: ({ args, setResultAndStopExecution }) => {
    const error = costErrorOf(args);
    if (error !== undefined) setResultAndStopExecution({ errors: [error] });
  },
};

const refuseIntrospection: Plugin = {
  onValidate: ({ addValidationRule }) => addValidationRule(NoSchemaIntrospectionCustomRule),
};

function costErrorOf(args: ExecutionArgs): GraphQLError | undefined {
  const { schema, document, variableValues, operationName } = args;
  const operation = operationOf(args);
  // Execution says what is wrong with these, and does nothing.
  if (operation === undefined) return undefined;
  const given = variableValues ?? {};
  if (getVariableValues(schema, operation.variableDefinitions ?? [], given).errors !== undefined) return undefined;
  try {
    const cost = getComplexity({
      schema,
      query: document,
      variables: given,
      estimators: [costOfField],
      maxQueryNodes: MAX_SELECTIONS,
      ...(operationName == null ? {} : { operationName }),
    });
    if (cost <= MAX_COST) return undefined;
    return tooComplex(`Query cost limit of ${MAX_COST} exceeded, found ${cost}: ask for shorter lists or fewer fields`);
  } catch (error) {
    if (error instanceof GraphQLError) return tooComplex(error.message);
    throw error;
  }
}

/** Undefined when there is none of that name, or no name says which of several. */
function operationOf({ document, operationName }: ExecutionArgs): OperationDefinitionNode | undefined {
  const operations = document.definitions.filter((each) => each.kind === Kind.OPERATION_DEFINITION);
  if (operationName == null) return operations.length === 1 ? operations[0] : undefined;
  return operations.find(({ name }) => name?.value === operationName);
}

/** A field counts 1, and what is below a list's as often as the list is long. */
const costOfField: ComplexityEstimator = ({ field, args, childComplexity }) => {
  const isList = field.args.some(({ name }) => name === 'first');
  if (!isList) return 1 + childComplexity;
  const sizes = [args['first'], args['last']].filter((size): size is number => typeof size === 'number');
  return 1 + Math.max(0, ...(sizes.length > 0 ? sizes : [DEFAULT_PAGE_SIZE])) * childComplexity;
};
