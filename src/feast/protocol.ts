import { z } from 'zod';
import { AsgardError } from '../platform/errors.ts';

/** The first line of the bridge. `python/asgard_feast/bridge.py` describes the protocol. */
export const readiness = z.discriminatedUnion('ready', [
  z.object({ ready: z.literal(true) }),
  z.object({ ready: z.literal(false), error: z.string() }),
]);

const failure = z.object({
  code: z.enum(['INVALID_INPUT', 'NOT_FOUND', 'CONFLICT', 'UNAVAILABLE', 'INTERNAL']),
  message: z.string(),
  issues: z.array(
    z.object({ path: z.array(z.union([z.string(), z.number()])), message: z.string(), type: z.string() }),
  ),
});

/** What the bridge says of the request with this `id`: any number of times how far it is, and once what it came to. */
export const bridgeMessage = z.union([
  z.object({ id: z.int(), progress: z.record(z.string(), z.unknown()) }),
  z.object({ id: z.int(), error: failure }),
  z.object({ id: z.int(), result: z.unknown() }),
]);

export type BridgeMessage = z.infer<typeof bridgeMessage>;

/** How far a request is, in the words of its method. */
export type Progress = Readonly<Record<string, unknown>>;

/** What is thrown for a failure that the bridge tells of; one of its own is a fault of ours. */
export function failureOf(method: string, { code, message, issues }: z.infer<typeof failure>): Error {
  if (code === 'INTERNAL') return new Error(`the feature store's bridge failed at ${method}: ${message}`);
  return new AsgardError(code, message, { issues });
}
