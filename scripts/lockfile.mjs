/**
 * `npm run lockfile`: writes package-lock.json anew, whole and without registry addresses. A registry that lacks the
 * builds of an optional package for other systems leaves them out of the lock, and `npm ci` then refuses it everywhere;
 * they are put back by name, so that each system finds its own.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

execFileSync('npm', ['install', '--package-lock-only', '--ignore-scripts'], { stdio: 'inherit' });
const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'));
for (const [path, entry] of Object.entries({ ...lock.packages })) {
  if (path === '') continue;
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const own = `${path}/node_modules/${name}`;
    const top = `node_modules/${name}`;
    if (lock.packages[own] ?? lock.packages[top]) continue;
    lock.packages[top] = { version, ...platformOf(name), ...(entry.dev ? { dev: true } : {}), optional: true };
    console.log(`put back: ${name}@${version}`);
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
for (const entry of Object.values(lock.packages)) delete entry.resolved;
writeFileSync('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`);

/** `@biomejs/cli-linux-arm64-musl` → linux, arm64, musl. */
function platformOf(name) {
  const found = /-(android|darwin|linux|win32|freebsd)-(arm64|x64|ia32|arm)(?:-(musl|gnu|glibc))?$/.exec(name);
  if (found === null) return {};
  const [, os, cpu, libc] = found;
  return { cpu: [cpu], os: [os], ...(libc === 'musl' ? { libc: ['musl'] } : {}) };
}
