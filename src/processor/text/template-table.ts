/**
 * @file The conversation templates of the LLaVA family, as data. Names, separators and system texts: `conversation.py`
 * of haotian-liu/LLaVA, LLaVA-VL/LLaVA-NeXT (both Apache-2.0) and of microsoft/LLaVA-Med; `hf_*`: the chat templates of
 * the llava-hf checkpoints, which differ (no system text, no `</s>`).
 */

/** A template: the strings around the system text and around each message. */
export interface Template {
  readonly name: string;
  /** Before everything else. */
  readonly start: string;
  /** Default system text; '' leaves `head` out. */
  readonly system: string;
  /** Around the system text. */
  readonly head: Around;
  /** The system text stands inside the first human turn instead of before it (Llama-2). */
  readonly systemInTurn: boolean;
  /** Around a human message. */
  readonly human: Around;
  /** What asks for an answer. */
  readonly open: string;
  /** Around an answer; all of it is trained. */
  readonly answer: Around;
  /** After each answer, not trained. */
  readonly after: string;
  /** Between an answer and the next human turn, not trained. */
  readonly between: string;
  /** Turns that open every conversation, human and answer in turn. */
  readonly opening: readonly [] | readonly [human: string, answer: string];
  /** Strings at which generation stops, beside the end token; some are tokens themselves. */
  readonly stop: readonly string[];
  /** White space at both ends of each message is left out. */
  readonly trim: boolean;
  /** Images that no mark places come after the text of their message instead of before it. */
  readonly imagesLast: boolean;
  /**
   * Tokens that are trained wherever they stand, questions included. Where there are any, what asks for an answer is trained
   * too (LLaVA-NeXT's training of Qwen and Llama-3).
   */
  readonly framing: readonly string[];
  /** A caption after an image, for stage 1: of the human turn only `<image>` is kept in training. */
  readonly plain: boolean;
}

/** Text before and text after. */
export type Around = readonly [before: string, after: string];

type Fields = Partial<Omit<Template, 'name'>>;

const SYSTEM_HUMAN =
  "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the human's questions.";
const SYSTEM_USER =
  "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions.";
const TAG_FORMAT = 'The visual content will be provided with the following format: <Image>visual content</Image>.';
const SYSTEM_TAG = `A chat between a curious user and an artificial intelligence assistant. The assistant is able to understand the visual content that the user provides, and assist the user with a variety of tasks using natural language.${TAG_FORMAT}`;
const SYSTEM_VISION =
  'You are a helpful language and vision assistant. You are able to understand the visual content that the user provides, and assist the user with a variety of tasks using natural language.';
const SYSTEM_VISUAL = 'Answer the questions about the visual content that the user provides.';
const SYSTEM_LLAMA_2 = `You are a helpful, respectful and honest assistant. Always answer as helpfully as possible, while being safe.  Your answers should not include any harmful, unethical, racist, sexist, toxic, dangerous, or illegal content. Please ensure that your responses are socially unbiased and positive in nature.

If a question does not make any sense, or is not factually coherent, explain why instead of answering something not correct. If you don't know the answer to a question, please don't share false information.`;
const SYSTEM_MPT =
  'A conversation between a user and an LLM-based AI assistant. The assistant gives helpful and honest answers.';
const SYSTEM_ORCA =
  'You are MistralOrca, a large language model trained by Alignment Lab AI. Write out your reasoning step-by-step to be sure you get the right answers!';

// Sentences follow one another without a space, as they do there.
const SYSTEM_MED =
  'You are LLaVA-Med, a large language and vision assistant trained by a group of researchers at Microsoft, based on the general domain LLaVA architecture.You are able to understand the visual content that the user provides, and assist the user with a variety of medical and clinical tasks using natural language.Follow the instructions carefully and explain your answers in detail.';

const ENERGY_QUESTION = 'What are the key differences between renewable and non-renewable energy sources?';
const ENERGY_ANSWER = `Renewable energy sources are those that can be replenished naturally in a relatively short amount of time, such as solar, wind, hydro, geothermal, and biomass. Non-renewable energy sources, on the other hand, are finite and will eventually be depleted, such as coal, oil, and natural gas. Here are some key differences between renewable and non-renewable energy sources:
1. Availability: Renewable energy sources are virtually inexhaustible, while non-renewable energy sources are finite and will eventually run out.
2. Environmental impact: Renewable energy sources have a much lower environmental impact than non-renewable sources, which can lead to air and water pollution, greenhouse gas emissions, and other negative effects.
3. Cost: Renewable energy sources can be more expensive to initially set up, but they typically have lower operational costs than non-renewable sources.
4. Reliability: Renewable energy sources are often more reliable and can be used in more remote locations than non-renewable sources.
5. Flexibility: Renewable energy sources are often more flexible and can be adapted to different situations and needs, while non-renewable sources are more rigid and inflexible.
6. Sustainability: Renewable energy sources are more sustainable over the long term, while non-renewable sources are not, and their depletion can lead to economic and social instability.
`;

/** Style SINGLE: every turn ends with `###`. */
function single(system: string): Fields {
  const sep = '###';
  return { system, head: ['', sep], human: ['Human: ', sep], open: 'Assistant:', answer: [' ', sep], stop: [sep] };
}

/** Style TWO: a space after human turns, `</s>` after answers. */
function two(system: string): Fields {
  return { system, head: ['', ' '], human: ['USER: ', ' '], open: 'ASSISTANT:', answer: [' ', '</s>'], stop: ['</s>'] };
}

/** Style TWO with a space after answers too, as in the llava-hf chat templates. */
function twoSpaces(system: string): Fields {
  return { ...two(system), answer: [' ', ' '], stop: [] };
}

/** Style LLAMA_2; `sep` stands before all turns but the first. */
function llama2(system: string, sep: string): Fields {
  return {
    system,
    head: ['<<SYS>>\n', '\n<</SYS>>\n\n'],
    systemInTurn: true,
    human: ['[INST] ', ' [/INST]'],
    answer: [' ', ' </s>'],
    between: sep,
    stop: ['</s>'],
  };
}

/** Styles MPT, CHATML (with `newline`) and GEMMA: role headers before messages, `sep` after them. */
function headers(system: string, roles: readonly [string, string, string], sep: string, newline = ''): Fields {
  const [systemRole, humanRole, answerRole] = roles;
  return {
    system,
    head: [systemRole, sep + newline],
    human: [humanRole, sep + newline],
    open: answerRole,
    answer: ['', sep],
    after: newline,
    stop: [sep],
  };
}

const IM_ROLES = ['<|im_start|>system\n', '<|im_start|>user\n', '<|im_start|>assistant\n'] as const;
const ZEPHYR_ROLES = ['<|system|>\n', '<|user|>\n', '<|assistant|>\n'] as const;
const GEMMA_ROLES = ['', '<start_of_turn>user\n', '<start_of_turn>model\n'] as const;
const LLAMA_3_ROLES = [
  '<|start_header_id|>system<|end_header_id|>\n\n',
  '<|start_header_id|>user<|end_header_id|>\n\n',
  '<|start_header_id|>assistant<|end_header_id|>\n\n',
] as const;

const PLAIN: Fields = { human: ['', '\n'], answer: ['', '\n'], stop: ['\n'], plain: true };
const V0: Fields = { ...single(SYSTEM_HUMAN), opening: [ENERGY_QUESTION, ENERGY_ANSWER] };
const CHATML_DIRECT = headers('Answer the questions.', IM_ROLES, '<|im_end|>');
const LLAMA_3: Fields = {
  ...headers(SYSTEM_VISION, LLAMA_3_ROLES, '<|eot_id|>'),
  trim: true,
  framing: ['<|begin_of_text|>', '<|start_header_id|>', '<|end_header_id|>', '<|eot_id|>'],
};

/** Style CHATML. */
function qwen(system: string): Fields {
  const [start, end] = ['<|im_start|>', '<|im_end|>'];
  return { ...headers(system, IM_ROLES, end, '\n'), framing: [start, end, '\n'] };
}

const TABLE = {
  default: V0,
  v0: V0,
  v1: two(SYSTEM_USER),
  vicuna_v1: two(SYSTEM_USER),
  llama_2: llama2(SYSTEM_LLAMA_2, '<s>'),
  mistral_instruct: llama2('', ''),
  mistral_orca: headers(SYSTEM_ORCA, IM_ROLES, '<|im_end|>'),
  mistral_zephyr: headers('You are a helpful AI assistant.', ZEPHYR_ROLES, '</s>'),
  mistral_direct: CHATML_DIRECT,
  chatml_direct: CHATML_DIRECT,
  plain: PLAIN,
  v0_plain: PLAIN,
  llava_v0: single(SYSTEM_HUMAN),
  v0_mmtag: single(SYSTEM_TAG),
  llava_v0_mmtag: single(SYSTEM_TAG),
  llava_v1: two(SYSTEM_HUMAN),
  v1_mmtag: two(SYSTEM_TAG),
  llava_v1_mmtag: two(SYSTEM_TAG),
  llava_llama_2: llama2(SYSTEM_VISION, '<s>'),
  llava_llama_2_simple: llama2(SYSTEM_VISUAL, '<s>'),
  llava_llama_2_mmtag: llama2(SYSTEM_VISUAL + TAG_FORMAT, '<s>'),
  llava_llama_3: { ...LLAMA_3, start: '<|begin_of_text|>' },
  llava_mistral_instruct: llama2('', ''),
  mpt: headers(SYSTEM_MPT, IM_ROLES, '<|im_end|>'),
  qwen_1_5: qwen('You are a helpful assistant.'),
  qwen_2: qwen('You are a helpful assistant.'),
  qwen_2_5: qwen('You are Qwen, created by Alibaba Cloud. You are a helpful assistant.'),
  gemma_instruct: headers('', GEMMA_ROLES, '<end_of_turn>\n'),
  llava_med: {
    ...single(SYSTEM_MED),
    opening: ['Hi!', 'Hi there!  How can I help you today?\n'],
    imagesLast: true,
  },
  llava_med_v1_5: llama2('', ''),
  // Ours: v1 without its system text, for small models, to which a hundred more tokens a question are dear.
  v1_brief: two(''),
  hf_llava_1_5: twoSpaces(''),
  hf_llava_1_6_vicuna: twoSpaces(SYSTEM_HUMAN),
  hf_llava_1_6_mistral: { ...llama2('', ''), answer: [' ', '</s>'], after: ' ' },
  hf_llava_1_6_34b: CHATML_DIRECT,
  hf_llava_next_llama_3: LLAMA_3,
  hf_llava_next_qwen: qwen('You are a helpful assistant.'),
} satisfies Record<string, Fields>;

/** Name of a built-in template. */
export type TemplateName = keyof typeof TABLE;

const DEFAULTS: Omit<Template, 'name'> = {
  start: '',
  system: '',
  head: ['', ''],
  systemInTurn: false,
  human: ['', ''],
  open: '',
  answer: ['', ''],
  after: '',
  between: '',
  opening: [],
  stop: [],
  trim: false,
  imagesLast: false,
  framing: [],
  plain: false,
};

/** All built-in templates by name. */
export const TEMPLATES: ReadonlyMap<string, Template> = new Map(
  Object.entries<Fields>(TABLE).map(([name, fields]) => [name, { ...DEFAULTS, ...fields, name }]),
);
