/** Pictures of the cluster at intervals, as `celery-ts events --camera` takes them. */
import { describe, expect, it } from 'vitest';
import { type Camera, ClusterState, type SnapshotOptions, Snapshots } from '../../../src/events/index.ts';
import { manualSystem, turn } from '../../support/manual-system.ts';

function aTripod(camera: Partial<Camera> = {}, options: Partial<SnapshotOptions> = {}) {
  const system = manualSystem();
  const state = new ClusterState({ system });
  const shots: number[] = [];
  const whole: Camera = { onShutter: (seen) => void shots.push(seen.eventCount), ...camera };
  const snapshots = new Snapshots({ camera: whole, state, system, ...options });
  const tell = (): void =>
    state.event({ type: 'worker-online', hostname: 'w@h', timestamp: 1, localReceived: system.now() });
  return { system, state, shots, snapshots, tell };
}

describe('a camera', () => {
  it('is shown the state at each interval, and once more at the end', async () => {
    const { shots, snapshots, system, tell } = aTripod({}, { everySeconds: 2 });
    snapshots.start();
    await system.advance(1999);
    expect(shots).toEqual([]);
    tell();
    await system.advance(1);
    tell();
    await system.advance(2000);
    tell();
    await snapshots.close();
    await snapshots.close();
    expect(shots).toEqual([1, 2, 3]);
    expect(system.timers).toBe(0);
  });

  it('takes no more pictures than its rate allows', async () => {
    const { shots, snapshots, system } = aTripod({}, { everySeconds: 1, mostPerSecond: 1 / 3 });
    snapshots.start();
    await system.advance(9_000);
    expect(shots).toHaveLength(3);
    await snapshots.close();
  });

  it('may have what it saw forgotten', async () => {
    const { shots, snapshots, state, system, tell } = aTripod({ clearAfter: true });
    snapshots.start();
    tell();
    await system.advance(1000);
    await system.advance(1000);
    expect(shots).toEqual([1, 0]);
    expect(state.workers.size).toBe(0);
    await snapshots.close();
  });

  it('is not disturbed while it works on a picture, and the end waits for it', async () => {
    const begun: (() => void)[] = [];
    const { snapshots, system } = aTripod({
      onShutter: () => new Promise<void>((resolve) => void begun.push(resolve)),
    });
    snapshots.start();
    await system.advance(5_000);
    expect(begun).toHaveLength(1);
    begun[0]?.();
    await turn();
    await system.advance(1_000);
    expect(begun).toHaveLength(2);
    const closing = snapshots.close();
    begun[1]?.();
    await turn();
    expect(begun).toHaveLength(3); // the last one
    begun[2]?.();
    await closing;
  });

  it('that fails, at once or later, is told in the log and goes on', async () => {
    const failures = [
      (): void => {
        throw new Error('no film');
      },
      (): Promise<void> => Promise.reject(new Error('no flash')),
    ];
    const { snapshots, system } = aTripod({ onShutter: () => (failures.shift() ?? (() => undefined))() });
    snapshots.start();
    await system.advance(3_000);
    expect(system.logger.records.filter(({ msg }) => msg === 'A camera failed')).toHaveLength(2);
    await snapshots.close();
  });

  it('has a chance to clean up each hour', async () => {
    let cleanups = 0;
    const { snapshots, system } = aTripod(
      {
        onCleanup: () => {
          cleanups += 1;
        },
      },
      { everySeconds: 600 },
    );
    snapshots.start();
    await system.advance(7_200_000);
    expect(cleanups).toBe(2);
    await snapshots.close();
  });
});
