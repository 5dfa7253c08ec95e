/**
 * A browser for tests: the Chromium of the system (`CHROMIUM`, else `chromium` on PATH), headless, with a profile of its
 * own that goes with it.
 */
import { accessSync, constants } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { type BrowserContext, chromium, type Page } from 'playwright-core';

export interface Browser extends AsyncDisposable {
  /** The one window there is. */
  readonly page: Page;
  close(): Promise<void>;
}

/** @throws when there is no Chromium. */
export async function openBrowser(): Promise<Browser> {
  const executablePath = findChromium();
  const profile = await mkdtemp(join(tmpdir(), 'celery-ts-browser-'));
  let context: BrowserContext | undefined;
  const close = async (): Promise<void> => {
    await context?.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    context = await chromium.launchPersistentContext(profile, {
      executablePath,
      headless: true,
      viewport: { width: 1280, height: 900 },
      args: [
        '--no-sandbox', // the tests may run as root
        '--disable-gpu',
        '--disable-dev-shm-usage',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    });
    const page = context.pages()[0] ?? (await context.newPage());
    return { page, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

function findChromium(): string {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const paths = ['chromium', 'chromium-browser', 'google-chrome'].flatMap((name) =>
    folders.map((folder) => join(folder, name)),
  );
  const found = [process.env.CHROMIUM ?? '', ...paths].find((path) => path !== '' && isExecutable(path));
  if (found !== undefined) return found;
  throw new Error('This test needs a browser: install chromium, or name one in CHROMIUM.');
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
