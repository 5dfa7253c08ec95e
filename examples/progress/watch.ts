/**
 * A progress bar in the terminal for a task that runs somewhere else. With a worker running on `tasks.ts`:
 *
 *   npm run programs && node build/examples/progress/watch.js
 */
import { app, render } from './tasks.ts';

const width = 30;

interface Progress {
  readonly current: number;
  readonly total: number;
  readonly note?: string;
}

function bar({ current, total, note = '' }: Progress): string {
  const done = Math.round((current / total) * width);
  const percent = String(Math.round((current / total) * 100)).padStart(3);
  return `${'█'.repeat(done)}${'░'.repeat(width - done)} ${percent} % ${note}`;
}

/** On a terminal the line is drawn anew, elsewhere each state has a line of its own. */
function draw(line: string): void {
  process.stdout.write(process.stdout.isTTY ? `\r${line}\x1b[K` : `${line}\n`);
}

async function watch(): Promise<void> {
  const result = await render.delay('Metropolis', 24);
  for await (const { state, result: value } of result.watch({ timeout: 60 })) {
    if (state === 'PROGRESS') draw(bar(value as Progress));
  }
  console.log(`${process.stdout.isTTY ? '\n' : ''}Done: ${await result.get({ timeout: 1 })} frames.`);
}

try {
  await watch();
} finally {
  await app.close();
}
