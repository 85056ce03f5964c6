/**
 * @file From arguments to an exit code. 0: done; 2: the user's to mend, told in one line; 70: a bug of ours, with its
 * stack (EX_SOFTWARE of sysexits.h); 130: interrupted.
 */

import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { AbortedError, LlavaError, nearestName } from '../../core/index.ts';
import { COMMANDS, type Io } from './commands.ts';

const EXIT = { done: 0, usage: 2, bug: 70, interrupted: 130 } as const;
const BUG = 'this is a bug of llava-ts; please report it with the command, the version and this text:';

const EXAMPLES = `
Examples:
  llava ask --image photo.jpg "What is in this picture?"
  llava ask --model llava-hf/llava-1.5-7b-hf --image photo.jpg "What is in this picture?"
  llava chat --image photo.jpg
  llava info path/to/model

llava COMMAND --help tells the options of a command.`;

const NO_COMMAND = `expected a command (${COMMANDS.map(({ name }) => name).join(', ')}), got none; see llava --help`;

/** Runs the command line `argv` (without node and script) and returns the exit code. Never throws. */
export async function runCli(argv: readonly string[], io: Io): Promise<number> {
  try {
    const program = await buildProgram(argv, io);
    await program.parseAsync(argv, { from: 'user' });
    return EXIT.done;
  } catch (error) {
    return report(error, io);
  }
}

/** Only the command that is called gets its options: the others are there for the list in the help. */
async function buildProgram(argv: readonly string[], io: Io): Promise<Command> {
  const program = new CliCommand('llava').exitOverride().configureOutput({
    writeOut: text => io.stdout.write(text),
    writeErr: () => {}, // errors come to report()
  });
  program.description('LLaVA in TypeScript: ask vision-language models about images.').usage('COMMAND [options]');
  program.version(packageVersion(), '--version', 'show the version').addHelpText('after', EXAMPLES);
  for (const { name, summary, load } of COMMANDS) {
    const command = program.command(name).description(summary).allowExcessArguments(false);
    if (argv.includes(name)) (await load()).define(command, io);
  }
  return program;
}

/** Turns what commander finds wrong with the arguments into our errors. */
class CliCommand extends Command {
  override createCommand(name: string): CliCommand {
    return new CliCommand(name);
  }

  override error(message: string, { code }: { code?: string } = {}): never {
    const [, got = ''] = /'([^']*)'/.exec(message) ?? [];
    const where = this.parent ? `${this.name()}: ` : '';
    if (code === 'commander.unknownCommand') throw unknownName('', 'command', got, COMMAND_NAMES);
    if (code === 'commander.unknownOption') throw unknownName(where, 'option', got, optionNames(this));
    throw new LlavaError(`${where}${message.replace(/^error: /, '')}; see llava ${this.name()} --help`);
  }
}

const COMMAND_NAMES = COMMANDS.map(command => command.name);

const optionNames = (command: Command): string[] => [
  ...command.options.map(option => option.long ?? option.short!),
  '--help',
];

function unknownName(where: string, kind: string, got: string, known: readonly string[]): LlavaError {
  return new LlavaError(`${where}expected a known ${kind}, got ${got} (did you mean ${nearestName(got, known)}?)`);
}

function packageVersion(): string {
  const file = new URL('../../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

function report(error: unknown, io: Io): number {
  if (error instanceof CommanderError && error.exitCode === 0) return EXIT.done; // help and version
  if (error instanceof AbortedError || io.signal.aborted) return EXIT.interrupted;
  const message = error instanceof CommanderError ? NO_COMMAND : userMessage(error);
  if (message !== undefined) {
    io.stderr.write(`llava: ${message}\n`);
    return EXIT.usage;
  }
  io.stderr.write(`llava: ${BUG}\n${error instanceof Error ? error.stack : String(error)}\n`);
  return EXIT.bug;
}

/** The one line to show for an error that the user can mend. */
function userMessage(error: unknown): string | undefined {
  return error instanceof LlavaError ? error.message.replace(/\s*\n\s*/g, ' ') : undefined;
}
