/**
 * Pictures of the cluster at intervals, for programs that keep its history (`celery-ts events --camera`). The state
 * gathers events all the time; the camera sees it every few seconds, one picture after the other.
 */
import type { System } from '../core/system.ts';
import type { ClusterState } from './state.ts';

/**
 * What `--camera module:Class` names: a class whose instances have these.
 *
 * @example
 * export class Counts {
 *   clearAfter = true;
 *   onShutter(state: ClusterState) { console.log(state.eventCount, state.taskCount); }
 * }
 * Celery: `celery.events.snapshot.Polaroid`.
 */
export interface Camera {
  /** Takes what it wants from the state, at once; what it then does with it may take its time. */
  onShutter(state: ClusterState): void | Promise<void>;
  /** Once an hour: a chance to drop what is old. */
  onCleanup?(): void | Promise<void>;
  /** Forget workers, ended tasks and counts after each picture. Default: false. */
  readonly clearAfter?: boolean;
}

export interface SnapshotOptions {
  readonly camera: Camera;
  readonly state: ClusterState;
  readonly system: System;
  /** Seconds between two pictures. Default: 1. */
  readonly everySeconds?: number | undefined;
  /** Pictures a second at most; those in between are left out. Default: no limit. */
  readonly mostPerSecond?: number | undefined;
  /** Seconds between two cleanups. Default: 3,600. */
  readonly cleanupSeconds?: number | undefined;
}

export class Snapshots {
  readonly #given: SnapshotOptions;
  #cancels: (() => void)[] = [];
  #nextAllowedAt = Number.NEGATIVE_INFINITY;
  #working: Promise<void> | undefined;

  constructor(given: SnapshotOptions) {
    this.#given = given;
  }

  start(): void {
    const { cleanupSeconds = 3600, everySeconds = 1 } = this.#given;
    this.#cancels = [
      this.#repeat(everySeconds, () => this.#capture()),
      this.#repeat(cleanupSeconds, () => this.#cleanup()),
    ];
  }

  /** One last picture, and no more. */
  async close(): Promise<void> {
    if (this.#cancels.length === 0) return;
    for (const cancel of this.#cancels.splice(0)) cancel();
    await this.#working;
    this.#nextAllowedAt = Number.NEGATIVE_INFINITY;
    this.#capture();
    await this.#working;
  }

  /** A camera that still works on the last picture misses this one. */
  #capture(): void {
    const { camera, mostPerSecond, state, system } = this.#given;
    const now = system.monotonic();
    if (this.#working !== undefined || now < this.#nextAllowedAt) return;
    if (mostPerSecond !== undefined) this.#nextAllowedAt = now + 1000 / mostPerSecond;
    this.#run('A camera failed', () =>
      state.freezeWhile(() => camera.onShutter(state), { clearAfter: camera.clearAfter === true }),
    );
  }

  #cleanup(): void {
    const { camera } = this.#given;
    if (this.#working === undefined) this.#run('The cleanup of a camera failed', () => camera.onCleanup?.());
  }

  #run(complaint: string, body: () => void | Promise<void>): void {
    const { log } = this.#given.system;
    const complain = (error: unknown): void => log.error({ err: error }, complaint);
    try {
      const work = body();
      if (work === undefined) return;
      this.#working = work.catch(complain).finally(() => {
        this.#working = undefined;
      });
    } catch (error) {
      complain(error);
    }
  }

  #repeat(seconds: number, body: () => void): () => void {
    let cancel = (): void => {};
    const arm = (): void => {
      cancel = this.#given.system.after(seconds * 1000, () => {
        arm();
        body();
      });
    };
    arm();
    return () => cancel();
  }
}
