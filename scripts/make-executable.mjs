/**
 * @file Lets `npx llava` run the command that was just built. npm does so where it links a package for the first time, but not
 * after a clone or a build in the place of an earlier one.
 */

import { chmodSync } from 'node:fs';
import { join } from 'node:path';

chmodSync(join(import.meta.dirname, '../dist/app/cli/main.js'), 0o755);
