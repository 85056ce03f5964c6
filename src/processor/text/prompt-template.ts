import type { JinjaTemplate } from './jinja-template.ts';
import type { Template } from './template-table.ts';
import type { Tokenizer } from './tokenizer.ts';

/** What writes prompts: one of the built-in templates, or a checkpoint's own. */
export type PromptTemplate = Template | JinjaTemplate;

/** Those of the template's stop strings that are tokens: they end an answer but are no text in it. */
export function stopIds({ stop }: PromptTemplate, tokenizer: Tokenizer): number[] {
  return tokenizer.addedTokens.filter(({ special, content }) => special && stop.includes(content)).map(({ id }) => id);
}
