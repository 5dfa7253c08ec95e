/** Messages signed by Celery and read here, signed here and read by Celery; and what becomes of those that are not. */
import { Celery } from 'celery-ts';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { makeCertificate } from '../support/certificates.ts';
import { tempProject } from '../support/cli.ts';
import { pythonProject } from '../support/python.ts';

const ours = makeCertificate({ subject: { C: 'DE', O: 'Example, "ü" + Söhne', CN: 'ours' } });
const theirs = makeCertificate({ subject: 'theirs' });
const stranger = makeCertificate({ subject: 'stranger' });

const settings = {
  resultBackend: 'rpc://',
  taskSerializer: 'auth',
  resultSerializer: 'auth',
  eventSerializer: 'auth',
  acceptContent: ['auth'],
} as const;

const python = `
import os
from celery import Celery
def app_of(name, digest='sha256'):
    app = Celery(name, broker=os.environ['BROKER'], backend='rpc://')
    app.conf.update(task_serializer='auth', result_serializer='auth', event_serializer='auth', accept_content=['auth'])
    d = os.path.dirname(__file__)
    app.setup_security(key=f'{d}/me.key', cert=f'{d}/me.pem', store=f'{d}/store-*.pem', digest=digest)
    return app
`;
const pythonFiles = {
  'secured.py': python,
  'me.key': theirs.key,
  'me.pem': theirs.cert,
  'store-ours.pem': ours.cert,
  'store-theirs.pem': theirs.cert,
};

describe.each(['sha256', 'sha512'])('signed with %s', (digest) => {
  it('Python reads what we signed, and we read its signed answers', async () => {
    await using broker = await testBroker();
    await using project = await pythonProject({
      ...pythonFiles,
      'proj.py': `
from secured import app_of
app = app_of('proj', '${digest}')

@app.task(name='tasks.echo')
def echo(value):
    return value
`,
    });
    await using worker = project.celery(['-A', 'proj', 'worker', '-P', 'solo', '-l', 'INFO', '-Q', 'celery'], {
      BROKER: broker.url,
    });
    await worker.line(/ready\./, 60);
    await using trust = await tempProject({ 'store/ours.pem': ours.cert, 'store/theirs.pem': theirs.cert });
    await using app = new Celery('client', { ...settings, brokerUrl: broker.url, securityDigest: digest });
    app.setupSecurity({ key: ours.key, cert: ours.cert, store: `${trust.folder}/store` });
    const value = { text: 'ü 漢字', list: [1, -2.5, null, true], big: 2n ** 70n, when: new Date(1e12) };
    const result = await app.sendTask('tasks.echo', [value]);
    expect(await result.get({ timeout: 30 })).toEqual(value);
  });

  it('we read what Python signed, and Python reads our signed answers; control and its answers are signed, too', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({
      'me.key': ours.key,
      'me.pem': ours.cert,
      'store/ours.pem': ours.cert,
      'store/theirs.pem': theirs.cert,
      'tasks.ts': `import { Celery } from 'celery-ts';
export const app = new Celery('tasks', ${JSON.stringify({ ...settings, securityKey: 'me.key', securityCertificate: 'me.pem', securityCertStore: 'store', securityDigest: digest })});
app.setupSecurity();
app.task('tasks.echo', (value: unknown) => value);
`,
    });
    await using worker = project.start(['worker', '-A', 'tasks', '-c', '1', '-n', 'w@x'], {
      CELERY_BROKER_URL: broker.url,
    });
    await worker.line(/ready\./, 60);
    await using client = await pythonProject(pythonFiles);
    const answers = await client.evaluate(
      `
from secured import app_of
from secured import os
app = app_of('client', '${digest}')
given = {'text': 'ü 漢字', 'list': [1, -2.5, None, True], 'big': 2**70}
out = {'same': app.send_task('tasks.echo', (given,)).get(timeout=30) == given}
out['pong'] = app.control.inspect(timeout=10, destination=['w@x']).ping()
out['zlib'] = app.send_task('tasks.echo', (given,), compression='zlib').get(timeout=30) == given
print(json.dumps(out))
`,
      { BROKER: broker.url },
    );
    expect(answers).toEqual({ same: true, zlib: true, pong: { 'w@x': { ok: 'pong' } } });
  });
});

describe('a celery-ts worker that reads signed messages only', () => {
  it('refuses what is unsigned, by a stranger or changed, names why, and works on', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({
      'store/ours.pem': ours.cert,
      'stranger-store/ours.pem': ours.cert,
      'stranger-store/stranger.pem': stranger.cert,
      'tasks.ts': `import { Celery } from 'celery-ts';
export const app = new Celery('tasks', ${JSON.stringify(settings)});
app.setupSecurity({ key: ${JSON.stringify(ours.key)}, cert: ${JSON.stringify(ours.cert)}, store: 'store' });
app.signals.taskRejected.connect(({ exc }) => console.log('rejected with ' + exc.name));
app.task('tasks.echo', (value: unknown) => value);
`,
    });
    await using worker = project.start(['worker', '-A', 'tasks', '-c', '1', '-l', 'INFO'], {
      CELERY_BROKER_URL: broker.url,
    });
    await worker.line(/ready\./, 60);
    const config = { ...settings, brokerUrl: broker.url };
    await using plain = new Celery('plain', { brokerUrl: broker.url });
    await using unknown = new Celery('unknown', config);
    unknown.setupSecurity({ key: stranger.key, cert: stranger.cert, store: `${project.folder}/stranger-store` });
    await using known = new Celery('known', config);
    known.setupSecurity({ key: ours.key, cert: ours.cert, store: `${project.folder}/store` });
    known.signals.beforeTaskPublish.connect(({ body, headers }) => {
      if (headers.spoil !== true) return;
      const text = Buffer.from(Buffer.from(body).toString(), 'base64').toString('latin1');
      const changed = Buffer.from(text.replace('[[1]', '[[2]'), 'latin1').toString('base64');
      Buffer.from(body.buffer, body.byteOffset, body.byteLength).write(changed);
    });

    await plain.sendTask('tasks.echo', [1]);
    expect(await worker.line(/Content of type 'application\/json' is refused/, 20)).toMatch(
      /"sizeBytes":\d+,"head":"\[\[1\]/,
    );
    await worker.line(/rejected with DecodeError/, 20);
    await unknown.sendTask('tasks.echo', [1]);
    await worker.line(/Unknown certificate 'stranger \d+'/, 20);
    await known.sendTask('tasks.echo', [1], { headers: { spoil: true } });
    await worker.line(/Bad signature by /, 20);
    for (let n = 0; n < 5; n += 1) {
      expect(await (await known.sendTask('tasks.echo', [n])).get({ timeout: 20 })).toBe(n);
    }
  });
});
