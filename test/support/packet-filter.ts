/**
 * A black hole in the loopback: packets of connections there are now vanish both ways, no RST, no FIN, no acknowledgement by
 * the kernel; new connections pass. Needs Linux, root and iptables.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export const canFilterPackets: boolean = process.platform === 'linux' && process.getuid?.() === 0 && filters();

/** Swallows everything between that port of this host and whoever is connected to it now. Dispose it: the rules go. */
export function blackHole(port: number): Disposable & { readonly connections: number } {
  const peers = peersOf(port);
  const rules = peers.flatMap((peer) => [
    ['INPUT', '-i', 'lo', '-p', 'tcp', '--sport', `${peer}`, '--dport', `${port}`, '-j', 'DROP'],
    ['INPUT', '-i', 'lo', '-p', 'tcp', '--sport', `${port}`, '--dport', `${peer}`, '-j', 'DROP'],
  ]);
  for (const rule of rules) execFileSync('iptables', ['-w', '-A', ...rule]);
  return {
    connections: peers.length,
    [Symbol.dispose]: () => {
      for (const rule of rules) execFileSync('iptables', ['-w', '-D', ...rule]);
    },
  };
}

/** The ports of those that are connected to that port of 127.0.0.1. */
function peersOf(port: number): number[] {
  const established = '01';
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => state === established && portOf(local) === port)
    .map(([, , remote]) => portOf(remote));
}

function portOf(address = ''): number {
  return Number.parseInt(address.split(':')[1] ?? '', 16);
}

function filters(): boolean {
  try {
    execFileSync('iptables', ['-w', '-S', 'INPUT'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
