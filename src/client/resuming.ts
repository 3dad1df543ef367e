import { setTimeout as delay } from 'node:timers/promises';
import { AsgardRequestError } from './errors.ts';
import { ConnectionLostError } from './subscription.ts';

const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 5_000;

export interface ResumingOptions {
  /** Ends the stream with its reason. */
  readonly signal: AbortSignal;
  /** How long to go on trying to connect while nothing comes. */
  readonly giveUpAfterMs: number;
  /** What the stream cannot do when it gives up: `go on with …`. */
  readonly purpose: () => string;
}

/**
 * The payloads of a subscription until the platform completes it, over as many connections as it takes: it is opened anew
 * when its connection drops, or its platform says that it may pass.
 * @param open begins the subscription where it is to go on now
 * @throws AsgardRequestError of the platform, or UNAVAILABLE when it gives up
 */
export async function* resuming<Payload>(
  open: () => AsyncIterable<Payload>,
  { signal, giveUpAfterMs, purpose }: ResumingOptions,
): AsyncGenerator<Payload, void> {
  let lostSince: number | undefined;
  for (let attempts = 0; ; attempts += 1) {
    try {
      for await (const payload of open()) {
        lostSince = undefined;
        attempts = 0;
        yield payload;
      }
      return; // the platform completes it at its end, and only then
    } catch (error) {
      if (!isPassing(error)) throw error;
      lostSince ??= Date.now();
      if (Date.now() - lostSince > giveUpAfterMs) {
        const message = `cannot reach the platform to ${purpose()}`;
        throw new AsgardRequestError('UNAVAILABLE', message, { isRetryable: true, cause: error });
      }
    }
    await delay(Math.min(FIRST_DELAY_MS * 2 ** attempts, MAX_DELAY_MS), undefined, { signal });
  }
}

function isPassing(error: unknown): boolean {
  return error instanceof ConnectionLostError || (error instanceof AsgardRequestError && error.isRetryable);
}
