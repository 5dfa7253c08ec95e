/** Answers of workers as text: what Celery 5.6.3's own command line printed for recorded replies. */
import { describe, expect, it } from 'vitest';
import { answerLines, headline, nodeCount } from '../../../src/cli/answers.ts';
import { colorStyle, plainStyle } from '../../../src/cli/style.ts';
import { decodeControlReply } from '../../../src/message/index.ts';
import { openCodec, readFixture, recorded } from '../message/fixtures.ts';

const file = 'cli-5.6.3.json';
const outputs = new Map(
  readFixture(file).map(({ cli_output, scenario }) => [String(scenario), String(cli_output ?? '')] as const),
);
const replies = recorded('control-reply', new RegExp(file)).filter(({ scenario }) => !/ -j |status/.test(scenario));

/** Without blank lines and line ends: Celery's highlighter adds some of its own. A whole float is no float here. */
function essence(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trimEnd().replace(/(\d)\.0(?=,?$)/, '$1'))
    .filter((line) => line !== '');
}

describe('an answer', () => {
  it.each(replies.map((reply) => [reply.scenario, reply] as const))(
    'to `%s` is printed as Celery prints it',
    async (scenario, { envelope }) => {
      const { replies: answers } = decodeControlReply(envelope, await openCodec());
      const lines = [...answers].flatMap(([node, value]) => [
        headline(node, value, plainStyle, false),
        ...answerLines(value),
      ]);
      if (scenario.startsWith('celery inspect')) lines.push(nodeCount(answers.size));
      const celerys = essence(outputs.get(scenario) ?? '');
      expect(essence(lines.join('\n'))).toEqual(celerys);
      expect(celerys.length).toBeGreaterThan(1);
    },
  );

  it('was recorded for every command', () => {
    expect(replies.length).toBeGreaterThan(28);
  });

  it('cannot write on the screen of who reads it', () => {
    const value = ['\u001b[2Jgone', { name: 'a\u0007b', '\u001b]0;title\u0007': '\u009b1m' }];
    const text = [headline('evil\u001b[31m@h\n', value, plainStyle, false), ...answerLines(value)].join('\n');
    expect(text.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
    expect(text.split('\n')).toHaveLength(3);
  });

  it('keeps every level of what a worker tells, and the digits of large numbers', () => {
    const deep = { a: [{ b: { c: [{ d: [1n << 70n] }] } }] };
    expect(answerLines([deep]).join('')).toContain("{'a': [{'b': {'c': [{'d': [1180591620717411303424]}]}}]}");
    expect(answerLines(deep).join('')).toContain('"1180591620717411303424"');
  });

  it('shows in colours whether it is good or bad', () => {
    expect(headline('w@h', { ok: 'pong' }, colorStyle, true)).toBe(
      ' \u001b[1;36mw@h: \u001b[22;39m\u001b[1;32mOK\u001b[22;39m',
    );
    expect(headline('w@h', { error: 'no' }, colorStyle, true)).toContain('\u001b[1;31mERROR');
    expect([0, 1, 2].map(nodeCount)).toEqual(['0 nodes online.', '1 node online.', '2 nodes online.']);
  });
});
