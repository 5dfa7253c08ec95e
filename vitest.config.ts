/**
 * The test projects. `unit` needs nothing but Node and imports `src`; the others run the built package
 * (`import … from 'celery-ts'` is this package, by its own name) on the broker that `test/support/broker-choice.ts` finds.
 */
import { availableParallelism } from 'node:os';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

/** On CI's machines, which others keep busy too, a test that fails is tried twice more; the report says when it was. */
const retry = process.env.CI === undefined ? 0 : 2;

export default defineConfig({
  test: {
    // Most files wait for brokers and processes, not for a core.
    maxWorkers: availableParallelism() + 1,
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 30_000, retry } },
      {
        test: {
          name: 'types',
          include: [],
          typecheck: {
            enabled: true,
            only: true,
            checker: 'tsc',
            ignoreSourceErrors: true, // `npm run typecheck` is for those
            include: ['test/types/**/*.test-d.ts'],
            tsconfig: './tsconfig.json',
          },
        },
      },
      withBroker('integration', 30),
      withBroker('conformance', 30),
      withBroker('interop', 60),
      withBroker('slow', 600, { maxWorkers: 1 }), // measures
      withBroker('package', 300),
      {
        test: {
          name: 'faults',
          include: ['test/faults/**/*.test.ts'],
          globalSetup: ['test/support/build-only.ts'],
          hookTimeout: 120_000,
        },
      },
    ],
  },
});

function withBroker(name: string, timeoutSeconds: number, more = {}): TestProjectInlineConfiguration {
  return {
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      globalSetup: ['test/support/global-setup.ts'],
      testTimeout: timeoutSeconds * 1000,
      hookTimeout: timeoutSeconds * 1000,
      retry,
      ...more,
      server: { deps: { external: [/\/dist\//] } }, // Node loads the build itself, as it does for users
    },
  };
}
