/** No result backend: tasks run, nothing is kept, and whoever asks is told which setting to set. */
import { ImproperlyConfigured } from '../../core/errors.ts';
import type { ResultBackend } from '../backend.ts';

export async function openDisabledBackend(): Promise<ResultBackend> {
  return {
    name: 'disabled',
    form: 'none',
    replyTo: '',
    supportsNativeJoin: false,
    store: async () => {},
    expect: () => undefined,
    hold: () => {},
    get: refuse,
    watch: () => {
      throw noBackend();
    },
    forget: refuse,
    saveGroup: refuse,
    restoreGroup: refuse,
    deleteGroup: refuse,
    close: async () => {},
  };
}

async function refuse(): Promise<never> {
  throw noBackend();
}

function noBackend(): ImproperlyConfigured {
  return new ImproperlyConfigured(
    "No result backend is configured, so nothing is known of any task. Set resultBackend: 'rpc://' (answers over the broker) " +
      "or resultBackend: 'redis://localhost:6379/0' in the settings, or CELERY_RESULT_BACKEND in the environment.",
  );
}
