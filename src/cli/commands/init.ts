/** `celery-ts init`: the first files of a project. Asks nothing; what is there stays as it is. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { isCode } from '../../core/process-identity.ts';
import { type CommandContext, say } from '../context.ts';
import { CommandError, exitCodes } from '../exit-codes.ts';
import type { DefineCommand } from '../program.ts';

const tasks = `import { Celery } from 'celery-ts';

export const app = new Celery('tasks', {
  broker: process.env.CELERY_BROKER_URL ?? 'amqp://guest:guest@localhost:5672//',
  backend: process.env.CELERY_RESULT_BACKEND ?? 'rpc://',
});

export const add = app.task('tasks.add', (x: number, y: number) => x + y);
`;

const compose = `services:
  rabbitmq:
    image: rabbitmq:4-management
    ports: ['127.0.0.1:5672:5672', '127.0.0.1:15672:15672']
    volumes: ['rabbitmq:/var/lib/rabbitmq']
    healthcheck:
      test: ['CMD', 'rabbitmq-diagnostics', '-q', 'check_port_connectivity']
      interval: 5s
      timeout: 10s
      retries: 12

  redis:
    image: redis:7-alpine
    ports: ['127.0.0.1:6379:6379']

volumes:
  rabbitmq:
`;

export const initCommand: DefineCommand = (context, run) =>
  new Command('init')
    .description('write tasks.ts, docker-compose.yml and the app in package.json; overwrites nothing')
    .argument('[folder]', 'where; made if it is not there', '.')
    .action((folder: string, _options: object, command: Command) => run(init(context, folder, command)));

async function init(context: CommandContext, folder: string, command: Command): Promise<number> {
  const { workdir = '.' } = command.optsWithGlobals<{ workdir?: string }>();
  const inFolder = (name: string): string => resolve(workdir, folder, name);
  await mkdir(inFolder('.'), { recursive: true }).catch((error: unknown) => {
    throw cannot(inFolder('.'), error);
  });
  const tell = (name: string, isNew: boolean): void => say(context, `${isNew ? 'wrote ' : 'kept  '} ${name}`);
  tell('tasks.ts', await writeNew(inFolder('tasks.ts'), tasks));
  tell('docker-compose.yml', await writeNew(inFolder('docker-compose.yml'), compose));
  tell('package.json', await nameApp(inFolder('package.json')));
  say(context, '\nNext: npx celery-ts dev');
  say(context, "and in another terminal: npx celery-ts call tasks.add --args '[1, 2]' --wait");
  say(context, 'On RabbitMQ: docker compose up -d, then npx celery-ts worker -l INFO');
  return exitCodes.done;
}

/** False when something is there. */
async function writeNew(path: string, text: string): Promise<boolean> {
  try {
    await writeFile(path, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw cannot(path, error);
  }
}

/** `"celery": { "app": "./tasks.ts" }`, where nothing of that name is. */
async function nameApp(path: string): Promise<boolean> {
  const celery = { app: './tasks.ts' };
  if (await writeNew(path, `${JSON.stringify({ private: true, type: 'module', celery }, undefined, 2)}\n`)) return true;
  const text = await readFile(path, 'utf8');
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch (error) {
    throw new CommandError(`${path} is not JSON: ${(error as Error).message}`, exitCodes.configuration);
  }
  if (typeof found !== 'object' || found === null || Array.isArray(found) || 'celery' in found) return false;
  const indent = /^[ \t]+/m.exec(text)?.[0] ?? 2;
  await writeFile(path, `${JSON.stringify({ ...found, celery }, undefined, indent)}\n`).catch((error: unknown) => {
    throw cannot(path, error);
  });
  return true;
}

function cannot(path: string, error: unknown): CommandError {
  return new CommandError(`${path} cannot be written: ${(error as Error).message}`, exitCodes.cannotCreate);
}
