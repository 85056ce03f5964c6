/**
 * @file What each stage of training optimises: contrastive CLIP, a language model alone, LLaVA's stage 1 (projector) and
 * stage 2 (projector and language model; vision tower frozen unless asked, as LLaVA-1.6 does).
 */

import { dim, input, type Value } from '../graph/index.ts';
import {
  type ClipConfig,
  clipForward,
  clipInputs,
  clipLoss,
  type LlamaConfig,
  type LlavaConfig,
  llamaForward,
  llavaForward,
  nameWholeTower,
  nextTokenLoss,
  sequenceInputs,
} from '../models/index.ts';
import { Scope } from '../nn/index.ts';
import type { Objective } from './step-graph.ts';

/** Kinds of training stages. */
export const STAGE_KINDS = ['clip', 'language', 'projector', 'finetune'] as const;

/** Kind of a training stage. */
export type StageKind = (typeof STAGE_KINDS)[number];

/** Contrastive loss; feeds `pixels`, `ids`, `lastToken`, `groups`. */
export function clipObjective(config: ClipConfig): Objective {
  const scope = new Scope();
  const outputs = clipForward(scope, clipInputs(config, dim('N'), dim('T')), config);
  return { loss: clipLoss(outputs, input('groups', 'i64', [dim('N')])), params: scope.params };
}

const targetsInput = (): Value => input('targets', 'i64', [dim('R')]);

/** Next-token loss of a language model; feeds `ids`, `rows`, `targets`. */
export function languageObjective(config: LlamaConfig): Objective {
  const scope = new Scope();
  const logits = llamaForward(scope, sequenceInputs(dim('B'), dim('T')), config);
  return { loss: nextTokenLoss(logits, targetsInput()), params: scope.params };
}

/** Next-token loss of a LLaVA; feeds `pixels`, `ids`, `source`, `rows`, `targets`. */
export function llavaObjective(config: LlavaConfig): Objective {
  const scope = new Scope();
  const side = config.vision.imageSize;
  const pixels = input('pixels', 'f32', [dim('N'), 3, side, side]);
  const { logits } = llavaForward(scope, pixels, sequenceInputs(dim('B'), dim('T')), config);
  nameWholeTower(scope, pixels, config);
  return { loss: nextTokenLoss(logits, targetsInput()), params: scope.params };
}

/** Whether a stage trains the parameter `name`. `trainVision` adds the vision tower to `finetune`. */
export function isTrained(kind: StageKind, name: string, trainVision = false): boolean {
  if (kind === 'clip' || kind === 'language') return true;
  if (name.startsWith('multi_modal_projector.')) return true;
  if (kind === 'projector') return false;
  return trainVision || !name.startsWith('vision_tower.');
}

/** Weight decay applies to matrices, not to norms, biases, embeddings of positions or the temperature. */
export function decays(name: string, shape: readonly number[]): boolean {
  return shape.length >= 2 && !name.includes('position_embedding');
}

/** Whether Muon may update the parameter `name`: the matrices inside transformer blocks, whose sides are both hidden widths. */
export function suitsMuon(name: string, shape: readonly number[]): boolean {
  return shape.length === 2 && /\.layers\.\d+\..*\.weight$/.test(name);
}
