/**
 * @file Snapshots of a run, from which it goes on as if it had never stopped: parameters, optimizer moments, position. A
 * snapshot replaces the one before it in a single rename, so a kill at any moment leaves a whole one.
 */

import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LlavaError } from '../core/index.ts';
import {
  openSafetensors,
  readJson,
  readTensor,
  recoverFolder,
  saveFolderAtomic,
  tensorSource,
  writeSafetensors,
} from '../weights/index.ts';
import type { Trainer } from './trainer.ts';

const STATE_FILE = 'trainer_state.json';
const TENSORS_FILE = 'training.safetensors';

/** Where a run stands. */
export interface TrainerState {
  /** Updates done. */
  readonly step: number;
  /** Fingerprint of everything that decides what the run computes; a snapshot of another run is refused. */
  readonly fingerprint: string;
}

/** Writes a snapshot into `folder`, replacing the one there. */
export async function saveSnapshot(
  folder: string,
  trainer: Trainer,
  names: readonly string[],
  state: TrainerState,
): Promise<void> {
  await saveFolderAtomic(folder, async temporary => {
    const params = names.map(name => tensorSource(name, trainer.read(name)));
    const moments = [...trainer.optimizerState()].map(([name, tensor]) => tensorSource(name, tensor));
    await writeSafetensors(join(temporary, TENSORS_FILE), [...params, ...moments]);
    await writeFile(join(temporary, STATE_FILE), `${JSON.stringify(state, null, 2)}\n`);
  });
}

/** Puts the trainer where the snapshot in `folder` stands and returns its step; 0 and no change when there is none. */
export function resumeSnapshot(folder: string, trainer: Trainer, fingerprint: string): number {
  recoverFolder(folder);
  const file = join(folder, STATE_FILE);
  if (!existsSync(file)) return 0;
  const state = readJson(file) as TrainerState;
  if (state.fingerprint !== fingerprint) {
    throw new LlavaError(
      `${folder}: expected a snapshot of this recipe, got one of another; remove it or change the output`,
    );
  }
  const { entries } = openSafetensors(join(folder, TENSORS_FILE));
  trainer.restore(slot => {
    const entry = entries.get(slot);
    if (!entry) throw new LlavaError(`${folder}: expected a tensor ${slot}, got none`);
    return readTensor(entry);
  }, state.step);
  return state.step;
}
