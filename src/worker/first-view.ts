import { BroadcastChannel } from 'node:worker_threads';
import type { FeaturesDatabase } from '../feast/database.ts';
import { hasViews } from './feature-access.ts';

/** Of this process's threads alone. */
const CHANNEL = 'asgard first feature view';

/** Tells the supervising threads that there are feature views. */
export function announceViews(): void {
  const channel = new BroadcastChannel(CHANNEL);
  channel.postMessage(null);
  channel.close();
}

/** Resolves when there is a feature view: at once, or when that is announced. Does not keep a thread alive. */
export async function firstView(database: Pick<FeaturesDatabase, 'pool'>): Promise<void> {
  const channel = new BroadcastChannel(CHANNEL);
  const { promise: announced, resolve } = Promise.withResolvers<void>();
  channel.onmessage = () => resolve();
  channel.unref();
  // Looked at after that, so that no announcement falls between. While the database is away there will be one later.
  const isThere = await hasViews(database).catch(() => false);
  if (!isThere) await announced;
  channel.close();
}
