/** `cache+memory://`: caller and worker are one process, and one backend. */
import { openBackend } from '../../../src/results/index.ts';
import { backendConformance } from './suite.ts';

const none = async (): Promise<never> => {
  throw new Error('Memory needs no broker.');
};

backendConformance(
  'memory',
  async ({ system, codec }) => {
    const backend = await openBackend({
      url: 'cache+memory://',
      settings: { resultExpires: 3_600 },
      codec,
      system,
      broker: { publisher: none, connection: none },
    });
    return { caller: backend, worker: backend, [Symbol.asyncDispose]: () => backend.close() };
  },
  { isShared: true, keepsGroups: true },
);
