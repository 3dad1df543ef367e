import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { DataFolder } from '../support/data-folder.ts';
import { Gate } from '../support/jobs-for-tests.ts';
import { constantModel } from '../support/model-pickle.ts';
import { poll } from '../support/poll.ts';
import { savedPickle } from '../support/saved-pickle.ts';

const folder = await DataFolder.make();
afterAll(() => folder[Symbol.asyncDispose]());

/** From the moment that the script may end to the kill: before its end is seen, while its model is registered, tried, deployed. */
const KILLED_AFTER_MS = [0, 150, 500, 1200, 2500];
const DEPLOYED_WITHIN_MS = 120_000;

test('an alias names what a completed job registered, whenever the platform is killed in between, and preloads it', {
  timeout: 900_000,
}, async () => {
  await using gate = await Gate.create();
  const script = (round: number) => `${savedPickle(constantModel(7))}${gate.python}
tell("saved ${round}")
wait("end ${round}")
`;
  for (const [round, killedAfterMs] of KILLED_AFTER_MS.entries()) {
    let id = '';
    {
      await using platform = await folder.start({ ASGARD_PRELOAD_MODELS: 'deployed@champion' });
      await platform.ready();
      // What the round before deployed is there though nobody has asked for it.
      if (round > 0) {
        const [served] = await poll(
          () => platform.client.servedModels(),
          (models) => models.length > 0,
          DEPLOYED_WITHIN_MS,
        );
        expect(served).toMatchObject({ name: 'deployed', version: String(round) });
      }
      const names = { scriptName: 'train.py', experimentName: 'deployed', modelName: 'deployed' };
      ({ id } = await platform.client.registry.deploy({ ...names, script: script(round) }));
      await gate.told(`saved ${round}`);
      await gate.open(`end ${round}`);
      await delay(killedAfterMs);
      await platform.end('SIGKILL');
    }
    await using next = await folder.start();
    await next.ready();
    const { registry } = next.client;
    const deployment = await poll(
      () => registry.deployment(id),
      ({ status }) => status === 'DEPLOYED' || status === 'FAILED',
      DEPLOYED_WITHIN_MS,
    );
    const version = String(round + 1);
    expect(deployment).toMatchObject({ status: 'DEPLOYED', error: null, modelVersion: { version } });
    expect(await next.client.job(id)).toMatchObject({ status: 'COMPLETED' });
    const model = await next.client.model('deployed');
    expect(model).toMatchObject({ aliases: [{ alias: 'champion', version }], latestVersion: { version } });
    await next.end('SIGTERM');
  }
});
