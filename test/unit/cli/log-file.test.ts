/** A log file that takes no more: a disk that is full, a pipe nobody reads. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LogFile } from '../../../src/cli/log-file.ts';

describe.runIf(process.platform === 'linux')('a log file that takes no more', () => {
  it('loses lines, not the program, and says so once', () => {
    const said: string[] = [];
    const file = new LogFile((text) => said.push(text));
    file.open('/dev/full');
    for (let line = 0; line < 3; line += 1) expect(file.write('line\n')).toBe(true);
    file.close();
    expect(said).toEqual([
      expect.stringMatching(/^The log file \/dev\/full takes no more, and lines are lost: ENOSPC/),
    ]);
  });

  it('says how many are lost when it takes lines again', () => {
    const folder = mkdtempSync(join(tmpdir(), 'celery-ts-log-'));
    const path = join(folder, 'pipe');
    execFileSync('mkfifo', [path]);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const said: string[] = [];
    const file = new LogFile((text) => said.push(text));
    file.open(path);
    const line = `${'x'.repeat(4095)}\n`;
    while (said.length === 0) file.write(line);
    file.write(line);
    expect(said).toEqual([expect.stringMatching(/takes no more, and lines are lost: EAGAIN/)]);
    readSync(reader, Buffer.alloc(65_536));
    file.write(line);
    file.write(line);
    expect(said.slice(1)).toEqual([`The log file ${path} takes lines again; 2 lines were lost\n`]);
    file.close();
    closeSync(reader);
    rmSync(folder, { recursive: true });
  });
});
