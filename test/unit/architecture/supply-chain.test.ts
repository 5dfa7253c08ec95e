/** What is installed with this package, and `scripts/supply-chain.mjs`, which looks at it. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../../support/build.ts';

const script = join(root, 'scripts', 'supply-chain.mjs');

function check(cwd: string): { code: number | null; said: string } {
  const { status, stderr, stdout } = spawnSync(process.execPath, [script, '--check'], { cwd, encoding: 'utf8' });
  return { code: status, said: stdout + stderr };
}

/** Entries of a lock by package name; `own` is its package.json and further files. */
function checkTree(tree: Readonly<Record<string, { entry: object; own?: object; files?: Record<string, string> }>>) {
  const folder = mkdtempSync(join(tmpdir(), 'celery-ts-chain-'));
  const packages: Record<string, object> = { '': { name: 'x' } };
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  for (const [name, { entry, files = {}, own }] of Object.entries(tree)) {
    const path = `node_modules/${name}`;
    packages[path] = entry;
    if (own !== undefined) write(`${path}/package.json`, JSON.stringify(own));
    for (const [file, text] of Object.entries(files)) write(`${path}/${file}`, text);
  }
  write('package-lock.json', JSON.stringify({ name: 'x', packages }));
  try {
    return check(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const fine = { entry: { integrity: 'sha512-x' }, own: { license: 'MIT' } };
const twoClauses = 'Redistributions in binary form\nmust reproduce the above';

describe('what this package depends on', () => {
  it('has known licences, no install scripts, hashes, and comes from a registry by name', () => {
    expect(check(root)).toEqual({ code: 0, said: expect.stringMatching(/^\d+ runtime packages/) });
  });

  it('is published with a statement of where it was built', () => {
    const { publishConfig } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    expect(publishConfig).toEqual({ provenance: true });
  });

  it.each([
    [
      'a licence not in the list',
      { ...fine, own: { license: 'GPL-3.0' } },
      /licence that is not in the list: GPL-3\.0/,
    ],
    ['no licence', { ...fine, own: {} }, /licence that is not in the list: none/],
    [
      'an install script',
      { ...fine, own: { license: 'MIT', scripts: { postinstall: 'x' } } },
      /runs a script.*postinstall/,
    ],
    ['a build of its own', { ...fine, files: { 'binding.gyp': '{}' } }, /runs a script.*binding\.gyp/],
    ['a script that only the lock knows', { entry: { ...fine.entry, hasInstallScript: true } }, /says the lock/],
    ['no hash', { ...fine, entry: {} }, /has no integrity/],
    [
      'another source',
      { ...fine, entry: { ...fine.entry, resolved: 'https://mirror.example/a.tgz' } },
      /comes from https:\/\/mirror/,
    ],
    [
      'a repository as its source',
      { ...fine, entry: { ...fine.entry, resolved: 'git+ssh://x/a.git' } },
      /comes from git/,
    ],
    ['a link', { ...fine, entry: { ...fine.entry, link: true } }, /is a link/],
    ['no folder', { entry: fine.entry }, /is not installed/],
    ['no hash, a tool of ours', { entry: { dev: true } }, /has no integrity/],
  ] as const)('is refused with %s', (_, bad, why) => {
    const { code, said } = checkTree({ good: fine, bad });
    expect(code).toBe(1);
    expect(said).toMatch(why);
    expect(said).toMatch(/node_modules\/bad: /);
    expect(said).not.toMatch(/node_modules\/good: /);
  });

  it.each([
    ['a choice of licences', { ...fine, own: { license: '(GPL-2.0 OR MIT)' } }],
    ['the text of a licence', { ...fine, own: {}, files: { LICENSE: twoClauses } }],
    ['a tool built for another system', { entry: { dev: true, optional: true, os: ['darwin'] } }],
    ['an optional package not installed here', { entry: { ...fine.entry, optional: true, license: 'MIT' } }],
    ['a tool with an install script', { entry: { ...fine.entry, dev: true, hasInstallScript: true } }],
  ] as const)('is taken with %s', (_, other) => {
    expect(checkTree({ good: fine, other })).toMatchObject({ code: 0 });
  });
});
