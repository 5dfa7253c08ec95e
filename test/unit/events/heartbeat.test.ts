/** What heartbeats say, against the fields of spec/events.json. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { heartbeatFields, softwareInfo } from '../../../src/events/index.ts';
import { root } from '../../support/build.ts';

const spec = JSON.parse(readFileSync(join(root, 'test/spec/events.json'), 'utf8'));
const software = softwareInfo('1.2.3', 'linux');

function snakeCase(names: string[]): string[] {
  return names.map((name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)).sort();
}

describe('a heartbeat', () => {
  it.each(['worker-online', 'worker-heartbeat', 'worker-offline'])('has every field of %s', (type) => {
    const row = spec.events.find((event: { type: string }) => event.type === type);
    const fields = heartbeatFields(software, { freq: 2, active: 1, processed: 9, loadavg: [0.111, 0.2, 1] });
    expect(snakeCase(Object.keys(fields))).toEqual([...row.fields].sort());
    expect(fields).toMatchObject({ swIdent: 'ts-celery', swVer: '1.2.3', swSys: 'Linux', loadavg: [0.12, 0.2, 1] });
  });

  it('that was asked for says only who speaks, and 5 s', () => {
    expect(heartbeatFields(software)).toEqual({ freq: 5, swIdent: 'ts-celery', swVer: '1.2.3', swSys: 'Linux' });
  });
});
