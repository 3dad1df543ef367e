import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { PROJECT_ROOT } from '../../src/config.ts';
import { startVersitygw } from '../support/s3-servers.ts';
import { s3Suite } from '../support/s3-suite.ts';

// It only prints where the server is, unless it was never built here.
const program = execFileSync(process.execPath, [join(PROJECT_ROOT, 'scripts', 'build-s3-server.mjs')], {
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'inherit'],
});

s3Suite(() => startVersitygw(program.trim()));
