/** What `worker-online`, `worker-heartbeat` and `worker-offline` say (celery-protocol.md section 14). Pure. */

/** Who speaks: the library, its version, the operating system. */
export interface SoftwareInfo {
  readonly swIdent: string;
  readonly swVer: string;
  readonly swSys: string;
}

/** How it fares. */
export interface WorkerVitals {
  /** Seconds between two heartbeats. */
  readonly freq: number;
  /** Tasks running. */
  readonly active: number;
  /** Tasks accepted since the start. */
  readonly processed: number;
  /** Over 1, 5 and 15 minutes, as `os.loadavg()` gives it. */
  readonly loadavg: readonly number[];
}

/** The frequency that the answer to the control command `heartbeat` names, whatever the worker's own. */
const wokenFreqSeconds = 5;

/** `platform` as Node names it; Python's word for it is what monitors know. */
export function softwareInfo(version: string, platform: string): SoftwareInfo {
  const systems: Readonly<Record<string, string>> = {
    linux: 'Linux',
    darwin: 'Darwin',
    win32: 'Windows',
    freebsd: 'FreeBSD',
  };
  return { swIdent: 'ts-celery', swVer: version, swSys: systems[platform] ?? platform };
}

/** The fields of a heartbeat; without vitals those of the answer to the control command `heartbeat`. */
export function heartbeatFields(software: SoftwareInfo, vitals?: WorkerVitals): Readonly<Record<string, unknown>> {
  if (vitals === undefined) return { freq: wokenFreqSeconds, ...software };
  const { freq, active, processed } = vitals;
  const loadavg = vitals.loadavg.map((load) => Math.ceil(load * 100) / 100);
  return { freq, ...software, active, processed, loadavg };
}
