import { expect, test } from 'vitest';
import { DataFolder } from '../support/data-folder.ts';
import { CAN_BE_APART } from '../support/isolation.ts';
import { poll } from '../support/poll.ts';
import { processesOf } from '../support/processes.ts';

const LIMIT_MS = 240_000;

// On a platform of its own: on one that many tests share, other environments' launchers take its place.
test.runIf(CAN_BE_APART)(
  'Feast is imported once there is a view, before any job asks',
  { timeout: LIMIT_MS },
  async () => {
    await using folder = await DataFolder.make();
    await using platform = await folder.start();
    const send = async (method: string, path: string, type: string, body: string) => {
      const answer = await fetch(`${platform.url}${path}`, { method, headers: { 'content-type': type }, body });
      expect(answer.status, await answer.clone().text()).toBe(201);
    };
    const rows = 'customer_id,event_timestamp,spent\n1,2025-10-01T00:00:00Z,1.5\n';
    await send('PUT', '/iceberg/tables/gold/customers', 'text/csv', rows);
    const view = {
      name: 'customers',
      entities: ['customer_id'],
      features: [{ name: 'spent', dtype: 'float64' }],
      source: { table_name: 'customers', catalog: 'iceberg', schema: 'gold' },
    };
    await send('POST', '/feast/features', 'application/json', JSON.stringify(view));
    await poll(
      () => processesOf(folder.path).map(({ command }) => command),
      (commands) => commands.some((command) => command.includes(' asgard.preload_feast')),
      LIMIT_MS,
    );
  },
);
