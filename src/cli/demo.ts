import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { AsgardClient } from '../client/client.ts';
import { PROJECT_ROOT, parseConfig } from '../config.ts';
import { messageOf } from '../platform/errors.ts';
import { startPlatform } from './start-platform.ts';
