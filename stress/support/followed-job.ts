import type { AsgardClient, JobEvent } from '../../src/client/client.ts';
import { Received } from './received.ts';

/** A job that is followed to its end by one client, through whatever happens to the platform meanwhile. */
export class FollowedJob {
  readonly id: string;
  readonly events: JobEvent[] = [];
  readonly received = new Received();
  /** Resolves when the job has ended. @throws when its events do not come to an end */
  readonly ended: Promise<void>;
  readonly #watchers = new Set<(event: JobEvent) => void>();

  constructor(client: AsgardClient, id: string, signal: AbortSignal) {
    this.id = id;
    this.ended = this.#follow(client, signal);
    // Whoever waits for it is told; nobody may be waiting yet.
    this.ended.catch(() => {});
  }

  /** Resolves with the first event that is as wished, once it has come. @throws when the job ends without one */
  async first(isWished: (event: JobEvent) => boolean): Promise<JobEvent> {
    const known = this.events.find(isWished);
    if (known !== undefined) return known;
    const came = Promise.withResolvers<JobEvent>();
    const watch = (event: JobEvent) => isWished(event) && came.resolve(event);
    this.#watchers.add(watch);
    void this.ended.then(() => came.reject(new Error(`job ${this.id} ended before what was waited for`)), came.reject);
    return came.promise.finally(() => this.#watchers.delete(watch));
  }

  async #follow(client: AsgardClient, signal: AbortSignal): Promise<void> {
    for await (const event of client.jobEvents(this.id, { signal })) {
      this.events.push(event);
      const { sequence } = event;
      if (event.__typename === 'LogLine' && event.stream !== 'PLATFORM') {
        this.received.take({ sequence, line: event.text });
      } else if (event.__typename === 'JobEnded') this.received.take({ sequence, end: event });
      else this.received.take({ sequence });
      for (const watch of this.#watchers) watch(event);
    }
  }
}
