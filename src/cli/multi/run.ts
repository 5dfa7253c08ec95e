/**
 * What `multi` does with its nodes: starts them in the background, finds them again by their pid files, stops them.
 */
import { spawn } from 'node:child_process';
import { chownSync, existsSync, mkdirSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, resolve } from 'node:path';
import { isAlive, startOf } from '../../core/process-identity.ts';
import type { System } from '../../core/system.ts';
import { exitCodes } from '../exit-codes.ts';
import { removeStalePidfile, runningPid } from '../pidfile.ts';
import { identityOf } from '../privileges.ts';
import type { Style } from '../style.ts';
import type { MultiNode } from './nodes.ts';

const pollMs = 100;

export interface MultiHost {
  readonly system: System;
  readonly style: Style;
  /** One line of what happens. */
  say(text: string): void;
  /** The same, without the line's end. */
  note(text: string): void;
}

/** Starts each; a node that cannot be started is told and does not hold up the others. @returns whether all run. */
export async function startNodes(host: MultiHost, nodes: readonly MultiNode[]): Promise<boolean> {
  let isFine = true;
  for (const node of nodes) {
    host.note(`\t> ${host.style.name(node.full)}: `);
    isFine = (await startNode(host, node)) && isFine;
  }
  return isFine;
}

async function startNode(host: MultiHost, node: MultiNode): Promise<boolean> {
  makeFolders(node);
  const { code, stderr } = await runCommand(node);
  if (code === exitCodes.done) {
    host.say(host.style.good('OK'));
    return true;
  }
  host.say(`${host.style.bad('FAILED')} (exit code ${code})`);
  for (const line of stderr.trim().split('\n').slice(-5)) if (line !== '') host.say(`\t  ${line}`);
  return false;
}

interface Running {
  readonly node: MultiNode;
  readonly pid: number;
  readonly start: string | undefined;
}

/** Sends a signal to those that run. @returns them, with their pids. */
export async function signalNodes(
  host: MultiHost,
  nodes: readonly MultiNode[],
  signal: NodeJS.Signals,
): Promise<Running[]> {
  const running: Running[] = [];
  for (const node of nodes) {
    const pid = await runningPid(pidPath(node));
    const start = pid === undefined ? undefined : await startOf(pid);
    if (pid === undefined || !send(pid, signal)) {
      host.say(`\t> ${host.style.name(node.full)}: ${host.style.bad('DOWN')}`);
      await removeStalePidfile(pidPath(node), host.system);
      continue;
    }
    host.say(`\t> ${host.style.name(node.full)}: ${signal.slice(3)} -> ${pid}`);
    running.push({ node, pid, start });
  }
  return running;
}

/** Waits until each is gone, and its pid file with it. */
export async function waitUntilGone(host: MultiHost, running: readonly Running[]): Promise<void> {
  let left = running;
  if (left.length > 0) {
    host.say(
      `> Waiting for ${left.length} ${left.length === 1 ? 'node' : 'nodes'} -> ${left.map(({ pid }) => pid).join(', ')}`,
    );
  }
  while (left.length > 0) {
    const still: Running[] = [];
    for (const each of left) {
      // By pid, not by file: a worker removes its pid file shortly before it is gone.
      if (isAlive(each.pid) && (await startOf(each.pid)) === each.start) {
        still.push(each);
        continue;
      }
      await removeStalePidfile(pidPath(each.node), host.system);
      host.say(`\t> ${host.style.name(each.node.full)}: ${host.style.good('OK')}`);
    }
    left = still;
    if (left.length > 0) await host.system.sleep(pollMs);
  }
}

/** `-9`, `-TERM`, `-SIGINT` as a signal; undefined for other words. */
export function signalNamed(word: string): NodeJS.Signals | undefined {
  const name = /^-(?:SIG)?([A-Z]+\d?|\d+)$/.exec(word)?.[1];
  if (name === undefined) return undefined;
  const known = Object.entries(constants.signals);
  return known.find(([signal, number]) => signal === `SIG${name}` || String(number) === name)?.[0] as
    | NodeJS.Signals
    | undefined;
}

function pidPath(node: MultiNode): string {
  return resolve(node.workdir ?? '.', node.pidfile);
}

function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
    throw error;
  }
}

/** Folders of pid and log file, given to the user that the node becomes. */
function makeFolders(node: MultiNode): void {
  for (const file of [node.pidfile, node.logfile]) {
    const folder = dirname(resolve(node.workdir ?? '.', file));
    if (existsSync(folder)) continue;
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    if (node.uid === undefined && node.gid === undefined) continue;
    const { gid, uid } = identityOf(node.uid, node.gid);
    chownSync(folder, uid ?? -1, gid ?? -1);
  }
}

function runCommand(node: MultiNode): Promise<{ code: number; stderr: string }> {
  return new Promise((resolveRun) => {
    const child = spawn(node.executable, [...node.argv], { stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(-10_000);
    });
    child.once('error', (error) => resolveRun({ code: exitCodes.failed, stderr: error.message }));
    child.once('close', (code) => resolveRun({ code: code ?? exitCodes.failed, stderr }));
  });
}
