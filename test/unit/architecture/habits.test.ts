/**
 * Habits that keep the house testable: the outside world is handed in, state has an owner, exports have names.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../../support/build.ts';
import { lineOf, type SourceFile, sourceFiles } from '../../support/sources.ts';

const files = sourceFiles();

describe('the source', () => {
  it('meets the clock, chance, ids, the environment and the console in core/system.ts only (and at the edges)', () => {
    const isEdge = ({ path }: SourceFile): boolean => path === 'core/system.ts' || /^(cli|testing)\//.test(path);
    const world =
      /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\brandomUUID\b|\bprocess\.env\b|\bconsole\.\w+\(|\bperformance\.now\b/g;
    expect(
      hits(
        files.filter((file) => !isEdge(file)),
        world,
      ),
    ).toEqual([]);
  });

  it('keeps no state in modules', () => {
    expect(hits(files, /^(?:export )?(?:let|var) \w+/gm)).toEqual([]);
  });

  it('exports by name', () => {
    expect(hits(files, /^export \*|^export default\b/gm)).toEqual([]);
  });

  it('never waits while it is loaded, so that CommonJS can require it', () => {
    expect(hits(files, /^(?:(?:export )?(?:const|let) [^=\n]+= )?await\b|^for await\b/gm)).toEqual([]);
  });

  it('asks brokers under a deadline only', () => {
    expect(
      files
        .filter(({ room }) => room === 'amqp')
        .flatMap(({ code, path }) => bareQuestions(code).map((bare) => `src/${path}:${bare}`)),
    ).toEqual([]);
  });

  it('sees a question without a deadline in each of its forms', () => {
    const bare = [
      'await opened.channel.close();',
      'await channel.close().catch(() => undefined);',
      'const answer = channel.checkQueue(name);\nreturn answer;',
      'await (await this.#open()).channel.get(queue);',
      'return this.#model.createChannel();',
      'const goodbye = async () => {\n  await channel.close();\n};\nawait goodbye();',
    ];
    for (const code of bare) expect(bareQuestions(code), code).toHaveLength(1);
    const fine = [
      'await within(opened.channel.close(), limitMs, system, late);',
      "await ask(opened, 'it', (channel) => channel.checkQueue(name));",
      'const answer = channel.cancel(tag);\nawait within(answer, limitMs, system, late);',
      'const goodbye = async () => {\n  await channel.close();\n};\nawait within(goodbye(), limitMs, system, late);',
      'quietly(() => channel.close());',
      'if (isLate) {\n  live.channel.close().catch(() => undefined);\n}',
      'channel.publish(exchange, key, body); channel.ack(message);',
    ];
    for (const code of fine) expect(bareQuestions(code), code).toEqual([]);
  });

  it('opens each file with a comment that says what it is', () => {
    const mute = files.filter(
      ({ path }) => !/^(?:#![^\n]*\n)?\/\*\*/.test(readFileSync(join(root, 'src', path), 'utf8')),
    );
    expect(mute.map(({ path }) => path)).toEqual([]);
  });
});

/** What amqplib answers with a promise. */
const questions =
  /\b(?:channel|model)\.(?:close|(?:assert|check|delete|bind|unbind)(?:Queue|Exchange)|purgeQueue|consume|cancel|get|prefetch|recover|waitForConfirms|create(?:Confirm)?Channel)\(/g;

/**
 * Questions to a broker that nothing bounds, as `line text`. Bounded are: what `within` or `ask` gets, by itself or under a
 * name; what a `goodbye` does that `within` gets as a whole; and what nobody waits for.
 */
function bareQuestions(code: string): string[] {
  const bounded = [...code.matchAll(/\bwithin\((\w+)(?:\(\))?,/g)].map((match) => match[1]);
  return [...code.matchAll(questions)].flatMap((match) => {
    const before = code.slice(0, match.index);
    const statement = before.slice(before.search(/[^;]*$/));
    if (/(?:^|[{}])\s*[\w.#]*$/.test(statement)) return []; // neither awaited, nor returned, nor kept
    if (/(?:\bwithin\(|\(channel\) =>|\bquietly\(\(\) =>)[^;]*$/.test(statement)) return [];
    const name = /\bconst (\w+)(?:: [^=]+)? = [^;]*$/.exec(statement)?.[1] ?? openFunction(before);
    return bounded.includes(name) ? [] : [`${lineOf(code, match.index)} ${match[0]}`];
  });
}

/** The name of the arrow function of several lines that is open at the end of `before`. */
function openFunction(before: string): string | undefined {
  const [, indent = '', name] = [...before.matchAll(/^( *)const (\w+) = async \(\)[^\n]* => \{$/gm)].at(-1) ?? [];
  const start = name === undefined ? -1 : before.lastIndexOf(`${indent}const ${name} = async`);
  return start === -1 || before.slice(start).includes(`\n${indent}};`) ? undefined : name;
}

function hits(among: readonly SourceFile[], pattern: RegExp): string[] {
  return among.flatMap(({ path, code }) =>
    [...code.matchAll(pattern)].map((match) => `src/${path}:${lineOf(code, match.index)} ${match[0]}`),
  );
}
