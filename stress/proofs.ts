import { databaseAway } from './database-away.ts';
import { disconnects } from './disconnects.ts';
import { hostile } from './hostile.ts';
import { kills } from './kills.ts';
import { race } from './race.ts';
import { serving } from './serving.ts';
import type { Proof } from './support/proof.ts';

/** All that is proven, in the order in which it is run. */
export const PROOFS: readonly Proof[] = [disconnects, kills, race, databaseAway, hostile, serving];
