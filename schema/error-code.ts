import type { REFUSAL_STATUS } from '../src/auth/refusal.ts';
import type { ErrorCode } from '../src/platform/errors.ts';
import { builder } from './builder.ts';

/** What the GraphQL server itself calls a request that it cannot run. */
type ServerCode = 'BAD_REQUEST' | 'GRAPHQL_PARSE_FAILED' | 'GRAPHQL_VALIDATION_FAILED' | 'OPERATION_RESOLUTION_FAILURE';

/** Every code that an answer can hold, in `code` of a failure or `extensions.code` of an error. */
export type SentCode = ErrorCode | keyof typeof REFUSAL_STATUS | ServerCode | 'TOO_COMPLEX' | 'INTERNAL';

export const ErrorCodeType = builder.enumType('ErrorCode', {
  description:
    'The closed table of what can fail: `code` of an `Error`, and `extensions.code` of the errors of a response.',
  values: {
    INVALID_INPUT: { description: 'The input breaks a rule that the message and the issues name.' },
    UNAUTHORIZED: { description: 'The caller is not known: a key is missing, or wrong.' },
    FORBIDDEN: { description: 'The caller may not do this, or the page that asks is not let in.' },
    RATE_LIMITED: { description: 'The caller asks too often, or holds too much open; try again later.' },
    NOT_FOUND: { description: 'What the input names does not exist.' },
    CONFLICT: { description: 'The present state of what the input names does not allow it.' },
    QUEUE_FULL: { description: 'As many jobs wait as may; the same request may succeed later.' },
    TOO_LARGE: { description: 'The input is larger than is taken.' },
    TOO_COMPLEX: { description: 'The operation asks for more than one may; the message names the limit.' },
    NOT_IMPLEMENTED: { description: 'The platform does not do this yet.' },
    UPSTREAM: {
      description:
        'A service behind the platform answered with a failure of its own; the same request may succeed later.',
    },
    UNAVAILABLE: { description: 'A part of the platform is not up; the same request may succeed later.' },
    TIMEOUT: {
      description: 'A service behind the platform took longer than is allowed; the same request may succeed later.',
    },
    INTERNAL: { description: 'A fault of the platform; its log has it under the `requestId` of the extensions.' },
    BAD_REQUEST: { description: 'The request is none that GraphQL over HTTP knows.' },
    GRAPHQL_PARSE_FAILED: { description: 'The document is no GraphQL.' },
    GRAPHQL_VALIDATION_FAILED: { description: 'The document does not fit the schema.' },
    OPERATION_RESOLUTION_FAILURE: {
      description: 'The document has no operation of that name, or several and no name.',
    },
  } satisfies Record<SentCode, object>,
});
