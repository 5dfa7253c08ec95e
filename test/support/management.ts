/**
 * RabbitMQ's management API, as far as tests need it: make a vhost, drop a vhost, look at queues.
 * An HTTP call takes some 20 ms where `rabbitmqctl` takes a second.
 */

export interface QueueRow {
  readonly name: string;
  readonly durable: boolean;
  readonly auto_delete: boolean;
  readonly exclusive: boolean;
  readonly arguments: Readonly<Record<string, unknown>>;
  /** Ready and unacknowledged. */
  readonly messages: number;
  readonly messages_ready: number;
  readonly messages_unacknowledged: number;
}

export class Management {
  readonly url: string;
  readonly user: string;
  readonly password: string;

  constructor(url: string, user: string, password: string) {
    this.url = url;
    this.user = user;
    this.password = password;
  }

  /** True when the API answers these credentials. */
  async isUp(): Promise<boolean> {
    const response = await this.#fetch('GET', '/api/overview').catch(() => undefined);
    return response?.ok === true;
  }

  async version(): Promise<string> {
    const overview: unknown = await this.#json('/api/overview');
    return isRecord(overview) ? String(overview.rabbitmq_version) : 'unknown';
  }

  async addVhost(name: string): Promise<void> {
    await this.#must('PUT', `/api/vhosts/${encodeURIComponent(name)}`);
    await this.#must('PUT', `/api/permissions/${encodeURIComponent(name)}/${encodeURIComponent(this.user)}`, {
      configure: '.*',
      write: '.*',
      read: '.*',
    });
  }

  /** What `user` may do in a vhost, as regular expressions; empty: nothing. */
  async setPermissions(vhost: string, permissions: { configure: string; write: string; read: string }): Promise<void> {
    const path = `/api/permissions/${encodeURIComponent(vhost)}/${encodeURIComponent(this.user)}`;
    await this.#must('PUT', path, permissions);
  }

  async setPolicy(vhost: string, name: string, pattern: string, definition: object): Promise<void> {
    const path = `/api/policies/${encodeURIComponent(vhost)}/${encodeURIComponent(name)}`;
    await this.#must('PUT', path, { pattern, definition, 'apply-to': 'queues' });
  }

  async deleteQueue(vhost: string, name: string): Promise<void> {
    await this.#must('DELETE', `/api/queues/${encodeURIComponent(vhost)}/${encodeURIComponent(name)}`);
  }

  async deleteVhost(name: string): Promise<void> {
    const response = await this.#fetch('DELETE', `/api/vhosts/${encodeURIComponent(name)}`);
    if (!response.ok && response.status !== 404) throw new Error(`vhost ${name}: ${response.status} on delete`);
  }

  async vhosts(): Promise<string[]> {
    const rows: unknown = await this.#json('/api/vhosts');
    return Array.isArray(rows) ? rows.filter(isRecord).map((row) => String(row.name)) : [];
  }

  /** The queues of a vhost with their depths, read from the queues themselves (no sampled statistics). */
  async queues(vhost: string): Promise<QueueRow[]> {
    const rows: unknown = await this.#json(
      `/api/queues/${encodeURIComponent(vhost)}?disable_stats=true&enable_queue_totals=true`,
    );
    if (!Array.isArray(rows)) return [];
    return rows.filter(isRecord).map((row) => ({
      name: String(row.name),
      durable: row.durable === true,
      auto_delete: row.auto_delete === true,
      exclusive: row.exclusive === true,
      arguments: isRecord(row.arguments) ? row.arguments : {},
      messages: Number(row.messages ?? 0),
      messages_ready: Number(row.messages_ready ?? 0),
      messages_unacknowledged: Number(row.messages_unacknowledged ?? 0),
    }));
  }

  async #json(path: string): Promise<unknown> {
    const response = await this.#must('GET', path);
    return response.json();
  }

  async #must(method: string, path: string, body?: unknown): Promise<Response> {
    const response = await this.#fetch(method, path, body);
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response;
  }

  #fetch(method: string, path: string, body?: unknown): Promise<Response> {
    return fetch(this.url + path, {
      method,
      headers: {
        authorization: `Basic ${Buffer.from(`${this.user}:${this.password}`).toString('base64')}`,
        'content-type': 'application/json',
      },
      signal: AbortSignal.timeout(10_000),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
