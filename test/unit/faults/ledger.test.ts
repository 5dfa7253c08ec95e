/** The judge of the fault tests is judged first. */
import { describe, expect, it } from 'vitest';
import { check } from '../../faults/ledger.ts';
import { draw } from '../../faults/nemesis.ts';

const ledger = (...lines: string[]): ReturnType<typeof check> => check(`${lines.join('\n')}\n`);

describe('the ledger', () => {
  it('finds nothing wrong with what was sent, confirmed and run once', () => {
    const verdict = ledger('intent a', 'ok a', 'start a 1 10', 'end a 1 20');
    expect(verdict).toMatchObject({ intended: 1, confirmed: 1, ended: 1, started: 1 });
    expect(verdict).toMatchObject({ lost: [], duplicated: [], recovered: [], unexpected: [], concurrent: [] });
  });

  it('calls lost what was confirmed and never ended, even if it began', () => {
    expect(ledger('intent a', 'ok a', 'intent b', 'ok b', 'start b 1 10').lost).toEqual(['a', 'b']);
  });

  it('does not call lost what was refused or never answered', () => {
    const verdict = ledger('intent a', 'err a UnroutableError', 'intent b');
    expect(verdict.lost).toEqual([]);
    expect(verdict.refused).toEqual({ UnroutableError: 1 });
  });

  it('calls recovered what ended without having been confirmed', () => {
    expect(ledger('intent a', 'err a OperationalError', 'end a 1 20', 'intent b', 'end b 1 20').recovered).toEqual([
      'a',
      'b',
    ]);
  });

  it('calls duplicated what ended twice, and unexpected what nobody sent', () => {
    const verdict = ledger('intent a', 'ok a', 'end a 1 20', 'end a 2 30', 'end stranger 1 40');
    expect(verdict.duplicated).toEqual(['a']);
    expect(verdict.unexpected).toEqual(['stranger']);
  });

  it('tells two runs at one time from two runs after each other', () => {
    const run = (id: string, pid: number, from: number, to: number): string[] => [
      `start ${id} ${pid} ${from}`,
      `end ${id} ${pid} ${to}`,
    ];
    const verdict = ledger(
      ...run('a', 1, 10, 30),
      ...run('a', 2, 20, 40),
      ...run('b', 1, 10, 20),
      ...run('b', 1, 20, 30),
    );
    expect(verdict.concurrent).toEqual(['a']);
  });

  it('reads over a line that a killed process left half written', () => {
    expect(check('intent a\nok a\nend a 1 20\nend').lost).toEqual([]);
    expect(check('intent a\nok').lost).toEqual([]);
  });
});

describe('the nemesis', () => {
  it('does the same again with the same seed, and something else with another', () => {
    const faults = ['rst', 'fin', 'freeze', 'stall'];
    expect(draw(7, faults, 20_000)).toEqual(draw(7, faults, 20_000));
    expect(draw(7, faults, 20_000)).not.toEqual(draw(8, faults, 20_000));
  });

  it('strikes every one to three seconds until time is up', () => {
    const strikes = draw(3, ['rst'], 60_000);
    const pauses = strikes.map(({ atMs }, index) => atMs - (strikes[index - 1]?.atMs ?? 0));
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(1_000);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(3_000);
    expect(strikes.at(-1)?.atMs).toBeGreaterThan(56_000);
  });
});
