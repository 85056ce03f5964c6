/** @file Setup of the tiny tier: files run side by side, one a core, so each computes on one thread unless it says otherwise. */

import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';

os.availableParallelism = () => 1;
syncBuiltinESMExports();
