import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { cliReference } from '../../../scripts/cli-reference/page.ts';

it('is written as the program says; otherwise: npm run commands', () => {
  const written = readFileSync(new URL('../../../docs/reference/cli.md', import.meta.url), 'utf8');
  expect(written).toBe(cliReference());
});

it('has every command with its options, and each question and order for workers', () => {
  const page = cliReference();
  for (const heading of ['worker', 'beat', 'call', 'result', 'status', 'inspect', 'control', 'events', 'report']) {
    expect(page).toContain(`\n### ${heading}\n`);
  }
  expect(page).toContain('`-Q, --queues <names>`');
  expect(page).toContain('`CELERY_WORKER_QUEUES`');
  expect(page).toContain('| `ping` |');
  expect(page).toContain('`rate_limit <task_name> <rate_limit');
});
