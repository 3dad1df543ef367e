import { startMoto } from '../support/s3-servers.ts';
import { s3Suite } from '../support/s3-suite.ts';

s3Suite(() => startMoto());
