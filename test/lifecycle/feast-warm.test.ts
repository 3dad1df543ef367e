import { test } from 'vitest';
import { applyCustomersView } from '../support/customers-view.ts';
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
    await applyCustomersView(platform.url);
    await poll(
      () => processesOf(folder.path).map(({ command }) => command),
      (commands) => commands.some((command) => command.includes(' asgard.preload_feast')),
      LIMIT_MS,
    );
  },
);
