/**
 * `celery-ts amqp`: exchanges, queues and messages by hand, one command at a time or at a prompt. The words and the
 * order of their arguments are Celery's.
 */
import { createInterface } from 'node:readline';
import { Command } from 'commander';
import { Hands } from '../../amqp/index.ts';
import { CeleryError } from '../../core/errors.ts';
import { nearest } from '../../core/nearest.ts';
import { type CommandContext, loadCommandApp, say } from '../context.ts';
import { CommandError, exitCodes } from '../exit-codes.ts';
import type { DefineCommand } from '../program.ts';
import { printable } from '../style.ts';

interface AmqpCommand {
  /** Names of arguments; those with `?` may be left out. */
  readonly usage: string;
  readonly description: string;
  run(hands: Hands, words: readonly string[]): Promise<string>;
}

const commands: ReadonlyMap<string, AmqpCommand> = new Map<string, AmqpCommand>([
  [
    'exchange.declare',
    {
      usage: 'exchange type passive? durable? auto_delete?',
      description: 'declare an exchange',
      run: async (hands, [name = '', type = 'direct', passive, durable, autoDelete]) => {
        await hands.declareExchange(name, type, {
          passive: flag(passive),
          durable: flag(durable),
          autoDelete: flag(autoDelete),
        });
        return 'ok.';
      },
    },
  ],
  [
    'exchange.delete',
    {
      usage: 'exchange if_unused?',
      description: 'delete an exchange',
      run: async (hands, [name = '', ifUnused]) => {
        await hands.deleteExchange(name, { ifUnused: flag(ifUnused) });
        return 'ok.';
      },
    },
  ],
  [
    'queue.bind',
    {
      usage: 'queue exchange routing_key',
      description: 'bind a queue to an exchange',
      run: async (hands, [queue = '', exchange = '', key = '']) => {
        await hands.bindQueue(queue, exchange, key);
        return 'ok.';
      },
    },
  ],
  [
    'queue.declare',
    {
      usage: 'queue passive? durable? auto_delete?',
      description: 'declare a queue and count what is in it',
      run: async (hands, [queue = '', passive, durable, autoDelete]) => {
        const { consumerCount, messageCount, name } = await hands.declareQueue(queue, {
          passive: flag(passive),
          durable: flag(durable),
          autoDelete: flag(autoDelete),
        });
        return `ok. queue:${name} messages:${messageCount} consumers:${consumerCount}.`;
      },
    },
  ],
  [
    'queue.delete',
    {
      usage: 'queue if_unused? if_empty?',
      description: 'delete a queue',
      run: async (hands, [queue = '', ifUnused, ifEmpty]) =>
        `ok. ${await hands.deleteQueue(queue, { ifUnused: flag(ifUnused), ifEmpty: flag(ifEmpty) })} messages deleted.`,
    },
  ],
  [
    'queue.purge',
    {
      usage: 'queue',
      description: 'empty a queue',
      run: async (hands, [queue = '']) => `ok. ${await hands.purgeQueue(queue)} messages deleted.`,
    },
  ],
  [
    'basic.get',
    {
      usage: 'queue no_ack?',
      description: 'take the next message out of a queue',
      run: async (hands, [queue = '', noAck]) => {
        const message = await hands.get(queue, { noAck: flag(noAck) });
        if (message === undefined) return 'No messages in the queue.';
        const { deliveryTag, envelope, info, left } = message;
        const body = Buffer.from(envelope.body).toString('utf8');
        return JSON.stringify({ body, ...envelope.properties, deliveryTag, ...info, left }, undefined, 2);
      },
    },
  ],
  [
    'basic.publish',
    {
      usage: 'message exchange routing_key mandatory? immediate?',
      description: 'publish a text',
      run: async (hands, [text = '', exchange = '', key = '']) => {
        await hands.publish(exchange, key, {
          properties: { contentType: 'text/plain', contentEncoding: 'utf-8' },
          headers: {},
          body: Buffer.from(text),
        });
        return 'ok.';
      },
    },
  ],
  [
    'basic.ack',
    {
      usage: 'delivery_tag',
      description: 'acknowledge a message that was taken at this prompt',
      run: async (hands, [tag = '']) => {
        if (!/^[1-9]\d*$/.test(tag)) throw new CommandError('A delivery tag is a whole number.', exitCodes.usage);
        return (await hands.ack(Number(tag))) ? 'ok.' : 'That message is back in its queue: its channel is gone.';
      },
    },
  ],
]);

const listing = [...commands].flatMap(([name, { description, usage }]) => {
  const words = usage.split(' ').map((word) => (word.endsWith('?') ? `[${word.slice(0, -1)}]` : `<${word}>`));
  return [`  ${name} ${words.join(' ')}`, `      ${description}`];
});

export const amqpCommand: DefineCommand = (context, run) =>
  new Command('amqp')
    .description('work on exchanges, queues and messages by hand, at a prompt or one command at a time')
    .argument('[command...]', 'one command; without it: the prompt')
    .addHelpText('after', `\nCommands (flags are yes or no, no when left out):\n${listing.join('\n')}`)
    .action((words: string[], _options: object, command: Command) => run(amqp(context, words, command)));

async function amqp(context: CommandContext, words: readonly string[], command: Command): Promise<number> {
  if (words.length > 0 && words[0] !== 'repl') named(words); // what is wrong with the words needs no broker
  const { app } = await loadCommandApp(context, command, { optional: true });
  try {
    const hands = new Hands(await app.connections.consuming());
    if (words.length > 0 && words[0] !== 'repl') {
      say(context, printable(await perform(hands, words)));
      await hands.close();
      return exitCodes.done;
    }
    await prompt(context, hands);
    await hands.close();
    return exitCodes.done;
  } finally {
    await app.close();
  }
}

async function prompt(context: CommandContext, hands: Hands): Promise<void> {
  say(context, `Commands, exit to leave:\n${listing.join('\n')}`);
  const lines = createInterface({ input: process.stdin, output: process.stdout, prompt: 'amqp> ' });
  lines.prompt();
  for await (const line of lines) {
    const words = splitWords(line);
    if (['exit', 'quit'].includes(words[0] ?? '')) break;
    try {
      if (words[0] === 'help') say(context, listing.join('\n'));
      else if (words.length > 0) say(context, printable(await perform(hands, words)));
    } catch (error) {
      if (!(error instanceof CeleryError)) throw error;
      say(context, `Error: ${error.message}`);
    }
    lines.prompt();
  }
  lines.close();
}

async function perform(hands: Hands, words: readonly string[]): Promise<string> {
  return named(words).run(hands, words.slice(1));
}

/** The command that the first word names, for which there are neither too few words nor too many. */
function named([name = '', ...words]: readonly string[]): AmqpCommand {
  const command = commands.get(name);
  if (command === undefined) {
    const near = nearest(name, commands.keys());
    const hint = near === undefined ? `there are ${[...commands.keys()].join(', ')}` : `did you mean '${near}'?`;
    throw new CommandError(`amqp has no command '${name}'; ${hint}`, exitCodes.usage);
  }
  const wanted = command.usage.split(' ');
  const least = wanted.filter((word) => !word.endsWith('?')).length;
  if (words.length < least || words.length > wanted.length) {
    throw new CommandError(`${name} takes: ${command.usage.replaceAll('?', ' (optional)')}`, exitCodes.usage);
  }
  return command;
}

/** Words, those in quotes with their spaces. */
function splitWords(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? '');
}

function flag(word: string | undefined): boolean {
  if (word === undefined || /^(no|false|off|0)$/i.test(word)) return false;
  if (/^(yes|true|on|1)$/i.test(word)) return true;
  throw new CommandError(`A flag is yes or no, not '${word}'.`, exitCodes.usage);
}
