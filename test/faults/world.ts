/**
 * The stage of one fault: a vhost of a private RabbitMQ, a proxy before it, a user's folder with the two programs, a
 * ledger, workers and publishers as processes. Closing it ends every process by its pid.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'amqplib';
import { expect } from 'vitest';
import { CloseStack } from '../../src/core/close-stack.ts';
import { type TempProject, tempProject } from '../support/cli.ts';
import { type Ended, Program } from '../support/process.ts';
import type { RabbitNode } from '../support/rabbitmq-node.ts';
import { type TcpProxy, tcpProxy } from '../support/tcp-proxy.ts';
import { check, type Verdict } from './ledger.ts';
import { patience, until } from './patience.ts';
import { programs } from './programs.ts';

export interface Variant {
  /** Tasks of a row. */
  readonly count: number;
  readonly acks: 'late' | 'early';
  readonly queueType: 'classic' | 'quorum';
  readonly against: 'celery-ts' | 'celery';
}

/** What a stage needs of a node, or of a cluster. */
export type Broker = Pick<RabbitNode, 'url' | 'management' | 'ctl'>;

export interface WorkerOrders {
  /** Whose program it is. Default: that of the variant. */
  readonly by?: Variant['against'];
  /** Default: by way of the proxy. */
  readonly url?: string;
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
}

/** Whose programs meet. Default: those of the variant. */
export interface Sides {
  readonly worker?: Variant['against'];
  readonly publisher?: Variant['against'];
}

/** The orders that say so. */
export function by(side: Variant['against'] | undefined): Pick<WorkerOrders, 'by'> {
  return side === undefined ? {} : { by: side };
}

export interface PublisherOrders extends WorkerOrders {
  readonly count?: number;
  readonly ms?: number;
  readonly task?: string;
  readonly window?: number;
  readonly bodyBytes?: number;
  /** Between two publishes of one lane. */
  readonly paceMs?: number;
}

/** Children of a worker process. */
export const concurrency = 2;

export class World<B extends Broker = RabbitNode> implements AsyncDisposable {
  readonly variant: Variant;
  readonly node: B;
  readonly proxy: TcpProxy;
  readonly vhost: string;
  /** Past the proxy. */
  readonly directUrl: string;
  readonly project: TempProject;
  readonly ledgerFile: string;
  readonly #opened: CloseStack;
  readonly #python: string;
  readonly #programs: Program[] = [];
  #publishers = 0;

  private constructor(
    parts: Pick<World<B>, 'variant' | 'node' | 'proxy' | 'vhost' | 'directUrl' | 'project'>,
    python: string,
    opened: CloseStack,
  ) {
    this.variant = parts.variant;
    this.node = parts.node;
    this.proxy = parts.proxy;
    this.vhost = parts.vhost;
    this.directUrl = parts.directUrl;
    this.project = parts.project;
    this.ledgerFile = join(parts.project.folder, 'ledger');
    this.#python = python;
    this.#opened = opened;
    writeFileSync(this.ledgerFile, '');
  }

  /** `python`: the interpreter, where Python Celery takes part. */
  static async open<B extends Broker>(node: B, variant: Variant, python?: string): Promise<World<B>> {
    const opened = new CloseStack();
    const vhost = `faults-${randomBytes(4).toString('hex')}`;
    await node.management.addVhost(vhost);
    opened.defer(() => node.management.deleteVhost(vhost).catch(() => undefined));
    const directUrl = `${node.url}/${vhost}`;
    const proxy = opened.adopt(await tcpProxy(directUrl));
    const project = opened.adopt(await tempProject(programs));
    // Python's children may outlive their parent, and become nobody's
    if (python !== undefined) opened.defer(() => endAllWith(`LEDGER=${join(project.folder, 'ledger')}`));
    return new World<B>({ variant, node, proxy, vhost, directUrl, project }, python ?? '', opened);
  }

  /** Starts a worker of two children; resolves when it says that it is ready. */
  async worker(orders: WorkerOrders = {}): Promise<Program> {
    const worker = this.startWorker(orders);
    await worker.line(/ ready\.$/, patience(60));
    return worker;
  }

  startWorker(orders: WorkerOrders = {}): Program {
    const args = ['-A', 'tasks', 'worker', '-n', 'w@here', '-c', String(concurrency), '-l', 'INFO'];
    const env = this.#env(orders);
    const more = orders.args ?? [];
    return this.#keep(
      this.#isPython(orders)
        ? this.#program(this.#python, ['-m', 'celery', ...args, ...more], env)
        : this.project.start([...args, ...more], env),
    );
  }

  /** Starts a publisher; its orders go to the real broker unless told otherwise. */
  publisher(orders: PublisherOrders = {}): Program {
    const { bodyBytes, count, ms, paceMs, task, window } = orders;
    this.#publishers += 1;
    const env = {
      ...this.#env({ url: this.directUrl, ...orders }),
      COUNT: String(count ?? this.variant.count),
      PREFIX: `p${this.#publishers}`,
      MS: String(ms ?? 0),
      ...(task === undefined ? {} : { TASK: task }),
      ...(window === undefined ? {} : { WINDOW: String(window) }),
      ...(paceMs === undefined ? {} : { PACE_MS: String(paceMs) }),
      ...(bodyBytes === undefined ? {} : { BODY: String(bodyBytes) }),
    };
    return this.#keep(
      this.#isPython(orders)
        ? this.#program(this.#python, ['publisher.py'], env)
        : this.#program(process.execPath, ['publisher.mjs'], env),
    );
  }

  /** Publishes all and waits for the end. Gives what became of them. */
  async publish(orders: PublisherOrders = {}): Promise<Record<string, number>> {
    const publisher = this.publisher(orders);
    const line = await publisher.line(/^done /, patience(60));
    return JSON.parse(line.slice('done '.length)) as Record<string, number>;
  }

  /** Runs `celery-ts …args` past the proxy, to its end. */
  command(args: readonly string[], orders: WorkerOrders = {}): Promise<Ended> {
    return this.project.run(args, this.#env({ url: this.directUrl, ...orders }));
  }

  verdict(): Verdict {
    return check(readFileSync(this.ledgerFile, 'utf8'));
  }

  /** When the first run began after that moment (epoch ms). */
  firstStartAfter(moment: number): number | undefined {
    const starts = readFileSync(this.ledgerFile, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('start '))
      .map((line) => Number(line.split(' ')[3]));
    return starts.find((at) => at > moment);
  }

  /** Resolves when so many ids have ended. */
  async ended(count: number, withinSeconds = 30): Promise<void> {
    await until(() => this.verdict().ended >= count, { what: `${count} tasks to end`, withinSeconds, everyMs: 30 });
  }

  /** Resolves when every confirmed task has ended; gives the seconds that took. */
  async drained(withinSeconds = 30): Promise<number> {
    const startedAt = performance.now();
    await until(() => this.verdict().lost.length === 0, {
      what: 'every confirmed task to end',
      withinSeconds,
      everyMs: 200,
    });
    return seconds(performance.now() - startedAt);
  }

  /** Resolves when the work queue holds nothing, unacknowledged messages included. */
  async emptied(withinSeconds = 15): Promise<void> {
    const isEmpty = async (): Promise<boolean> => (await this.messages()) === 0 && (await this.ready()) === 0;
    await until(isEmpty, { what: 'the queue to be empty', withinSeconds, everyMs: 100 });
  }

  /**
   * Before its only node is killed: has it write down what it would write by itself some seconds later. RabbitMQ 3.10
   * answers the declaration of a quorum queue before that queue is in ra's table of names on disk; a node that is killed
   * in between begins the queue anew with an empty log, and what it had confirmed is gone: the broker's loss, not ours.
   */
  async writtenDown(): Promise<void> {
    if (this.variant.queueType === 'quorum') await this.node.ctl('eval', '[dets:sync(Table) || Table <- dets:all()].');
  }

  /** TERM; the worker must end with 0, leave no children, and nothing unacknowledged. */
  async stopWarmly(worker: Program): Promise<void> {
    const children = childrenOf(worker.pid);
    const { code, signal } = await worker.stop(patience(15));
    expect({ code, signal }, worker.output.slice(-2_000)).toEqual({ code: 0, signal: undefined });
    await gone(children);
    await this.emptied();
  }

  /** What the work queue itself says it could deliver now; undefined when there is no such queue. */
  async ready(): Promise<number | undefined> {
    const connection = await connect(`${this.node.url}/${this.vhost}`);
    try {
      connection.on('error', () => undefined);
      const channel = await connection.createChannel();
      channel.on('error', () => undefined);
      const { messageCount } = await channel.checkQueue('work');
      return messageCount;
    } catch {
      return undefined;
    } finally {
      await connection.close().catch(() => undefined);
    }
  }

  /** In the work queue, unacknowledged ones included. Of a quorum queue this is half a second old. */
  async messages(): Promise<number | undefined> {
    const rows = await this.node.management.queues(this.vhost);
    return rows.find(({ name }) => name === 'work')?.messages;
  }

  #isPython({ by = this.variant.against }: WorkerOrders): boolean {
    return by === 'celery';
  }

  #env(orders: WorkerOrders): Record<string, string> {
    return {
      BROKER_URL: orders.url ?? this.proxy.url,
      LEDGER: this.ledgerFile,
      ACKS: this.variant.acks,
      QUEUE_TYPE: this.variant.queueType,
      SETTINGS: JSON.stringify(orders.settings ?? {}),
      NO_COLOR: '1',
      ...(this.#isPython(orders) ? { PYTHONUNBUFFERED: '1', C_FORCE_ROOT: '1' } : {}),
      ...orders.env,
    };
  }

  #program(command: string, args: readonly string[], env: Record<string, string>): Program {
    return new Program(command, args, { cwd: this.project.folder, env });
  }

  /** What each program said last, for a row that failed. */
  get lastWords(): string {
    return this.#programs
      .map(({ isRunning, output, pid }) => `-- ${pid}${isRunning ? '' : ', ended'}\n${output.slice(-2_000)}`)
      .join('\n');
  }

  #keep(program: Program): Program {
    this.#programs.push(program);
    this.#opened.defer(() => program[Symbol.asyncDispose]());
    return program;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#opened.close();
  }
}

/** Ends the processes that were started with that in their environment (Linux). */
async function endAllWith(setting: string): Promise<void> {
  for (const pid of (await readdir('/proc')).map(Number).filter(Number.isInteger)) {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    if (environment.split('\0').includes(setting)) process.kill(pid, 'SIGKILL');
  }
}

/** The processes a worker started (Linux). */
export function childrenOf(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8').split(' ').filter(Boolean).map(Number);
}

/** Resolves when none of them runs any more; gives the seconds that took. */
export async function gone(pids: readonly number[], withinSeconds = 5): Promise<number> {
  const startedAt = performance.now();
  const isThere = async (pid: number): Promise<boolean> => {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    return stat !== '' && !/^\d+ \(.*\) [ZX]/.test(stat);
  };
  await until(async () => !(await Promise.all(pids.map(isThere))).includes(true), {
    what: `the processes ${pids.join(', ')} to be gone`,
    withinSeconds,
  });
  return seconds(performance.now() - startedAt);
}

export function seconds(ms: number): number {
  return Math.round(ms / 10) / 100;
}
