import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inheritedEnvironment, parseConfig } from '../../src/config.ts';
import { findIsolation } from '../../src/executors/isolation.ts';
import { toolchainPython } from '../../src/python/environments.ts';

const { toolchain } = parseConfig(inheritedEnvironment(), false);
const dataFolder = await mkdtemp(join(tmpdir(), 'asgard-isolation-'));
const { level } = await findIsolation({ setting: 'auto', python: toolchainPython(toolchain), dataFolder });
await rm(dataFolder, { recursive: true, force: true });

/** How far this machine lets scripts be set apart. */
export const ISOLATION = level;

/** Whether this machine allows namespaces to whoever runs the tests: containers may forbid them. */
export const CAN_BE_APART = level === 'namespaces';
