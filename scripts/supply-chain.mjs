/**
 * `npm run supply-chain`: what this package brings into the house of whoever installs it. Each runtime package has a
 * licence of the list and runs nothing when it is installed; each entry of the lock is pinned by a hash and names no address
 * (`npm run lockfile`): it comes from whatever registry npm is told to use. Then the bill of materials, build/sbom.json, and an audit where the registry answers one.
 * `--check` looks at the lock and at node_modules only. Exit code 1: something is not as it should be.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const licences = new Set(['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'BlueOak-1.0.0', 'ISC', 'MIT']);
const npmLimitMs = 60_000;

const troubles = [];
const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'));
const entries = Object.entries(lock.packages).filter(([path]) => path !== '');
const runtime = entries.filter(([, entry]) => entry.dev !== true);
for (const [path, entry] of entries) checkSource(path, entry);
for (const [path, entry] of runtime) checkRuntime(path, entry);
console.log(`${runtime.length} runtime packages, optional ones too, of ${entries.length} in the lock`);

if (!process.argv.includes('--check')) {
  writeBill();
  audit();
}
for (const trouble of troubles) console.error(trouble);
process.exitCode = troubles.length === 0 ? 0 : 1;

/** Where an entry comes from, and that it cannot be another thing tomorrow. */
function checkSource(path, entry) {
  if (entry.link === true) troubles.push(`${path}: is a link to a folder`);
  if (entry.resolved !== undefined) troubles.push(`${path}: comes from ${entry.resolved}, not from a registry by name`);
  // Tools built for other systems, which `npm run lockfile` has put back by name.
  const isPutBack = entry.dev === true && entry.optional === true && entry.os !== undefined;
  if (entry.integrity === undefined && !isPutBack) troubles.push(`${path}: has no integrity`);
}

function checkRuntime(path, entry) {
  const file = join(path, 'package.json');
  const own = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
  if (own === undefined && entry.optional !== true) troubles.push(`${path}: is not installed (npm ci)`);
  const scripts = ['preinstall', 'install', 'postinstall'].filter((name) => own?.scripts?.[name] !== undefined);
  if (existsSync(join(path, 'binding.gyp'))) scripts.push('binding.gyp');
  if (entry.hasInstallScript === true || scripts.length > 0) {
    troubles.push(`${path}: runs a script when it is installed: ${scripts.join(', ') || 'says the lock'}`);
  }
  const licence = own?.license ?? entry.license ?? licenceInText(path) ?? 'none that can be read';
  if (!isAllowed(licence)) troubles.push(`${path}: has a licence that is not in the list: ${licence}`);
}

/** `MIT`, `(MIT OR GPL-2.0)`. */
function isAllowed(licence) {
  return String(licence)
    .replace(/^\(|\)$/g, '')
    .split(' OR ')
    .some((one) => licences.has(one));
}

/** For packages that name no licence and bring its text. */
function licenceInText(path) {
  const name = existsSync(path) ? readdirSync(path).find((file) => /^licen[cs]e(\.|$)/i.test(file)) : undefined;
  if (name === undefined) return undefined;
  const text = readFileSync(join(path, name), 'utf8').replace(/\s+/g, ' ');
  if (text.includes('Permission is hereby granted, free of charge')) return 'MIT';
  if (!text.includes('Redistributions in binary form must reproduce')) return undefined;
  return text.includes('endorse or promote products') ? 'BSD-3-Clause' : 'BSD-2-Clause';
}

/** Made of the whole tree: with `--omit dev` npm leaves out what tools of ours use as well. */
function writeBill() {
  const { status, stderr, stdout } = npm('sbom', '--sbom-format', 'cyclonedx');
  if (status !== 0) {
    troubles.push(`npm sbom failed: ${stderr.trim().split('\n').slice(0, 3).join(' ')}`);
    return;
  }
  const bill = JSON.parse(stdout);
  const wanted = new Map(runtime.map(([path, { version }]) => [`${nameOf(path)}@${version}`, path]));
  const refOf = ({ name, version }) => `${name}@${version}`;
  const isWanted = (ref) => wanted.has(ref.split('|')[0]);
  bill.components = bill.components.filter((component) => isWanted(refOf(component)));
  for (const component of bill.components) {
    const read = licenceInText(wanted.get(refOf(component)));
    if ((component.licenses ?? []).length === 0 && read) component.licenses = [{ license: { id: read } }];
  }
  const ours = bill.metadata.component;
  ours.name = lock.name;
  bill.dependencies = bill.dependencies
    .filter(({ ref }) => ref === ours['bom-ref'] || isWanted(ref))
    .map((one) => ({ ...one, dependsOn: one.dependsOn.filter(isWanted) }));
  const listed = new Set(bill.components.map(refOf));
  for (const [ref, path] of wanted) {
    if (!listed.has(ref) && existsSync(path)) troubles.push(`${path}: is missing in the bill of materials`);
  }
  mkdirSync('build', { recursive: true });
  writeFileSync(join('build', 'sbom.json'), `${JSON.stringify(bill, null, 2)}\n`);
  console.log(`build/sbom.json: ${bill.components.length} components (CycloneDX)`);
}

function nameOf(path) {
  return path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
}

/** Registries that are mirrors answer no audits: that is said, and no fault of the packages. */
function audit() {
  const { stderr, stdout } = npm('audit', '--omit=dev', '--json');
  const report = jsonOf(stdout);
  const counts = report?.metadata?.vulnerabilities;
  if (counts === undefined) {
    const why = report?.message ?? stderr.trim().split('\n')[0];
    console.log(`not audited: the registry gives no answer (${why || `none in ${npmLimitMs / 1000} s`})`);
    return;
  }
  console.log(`audited: ${counts.total} known vulnerabilities in runtime packages`);
  for (const [name, found] of Object.entries(report.vulnerabilities ?? {})) {
    troubles.push(`${name}: has a known vulnerability (${found.severity}); npm audit --omit=dev tells more`);
  }
}

function npm(...args) {
  return spawnSync('npm', args, { encoding: 'utf8', timeout: npmLimitMs, maxBuffer: 64 * 2 ** 20 });
}

function jsonOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
