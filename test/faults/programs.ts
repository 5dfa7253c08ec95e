/**
 * The two programs of every fault test, as files of a user's folder: the tasks a worker runs and the publisher. In
 * JavaScript and, for `--against celery`, the same in Python. Both append to the ledger; both read their orders from
 * the environment.
 */

const tasksJs = `
import { appendFileSync, existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Celery } from 'celery-ts';

const { env } = process;
const note = (kind, id) => appendFileSync(env.LEDGER, kind + ' ' + id + ' ' + process.pid + ' ' + Date.now() + '\\n');
const began = ({ request: { id } }) => note('start', id);
export const app = new Celery('faults', {
  brokerUrl: env.BROKER_URL,
  taskDefaultQueue: 'work',
  taskDefaultQueueType: env.QUEUE_TYPE ?? 'classic',
  taskAcksLate: env.ACKS !== 'early',
  taskIgnoreResult: env.RESULT_BACKEND === undefined,
  resultBackend: env.RESULT_BACKEND ?? 'rpc://',
  workerProcAliveTimeout: 60, // the machine may be busy with other tests
  ...JSON.parse(env.SETTINGS ?? '{}'),
});
const task = (name, body, options = {}) => app.task(name, { bind: true, ...options }, body);
task('record', async (self, ms) => {
  began(self);
  if (ms > 0) await sleep(ms);
  note('end', self.request.id);
  return ms;
});
task('gate', async (self) => {
  began(self);
  while (!existsSync('open')) await sleep(20);
  note('end', self.request.id);
});
task('spin', (self, ms) => {
  began(self);
  for (const until = Date.now() + ms; Date.now() < until; );
  note('end', self.request.id);
});
task('twice', (self) => {
  began(self);
  if (self.request.retries < 2) throw self.retry({ countdown: 0 });
  note('end', self.request.id);
}, { maxRetries: 2 });
task('poison', (self) => {
  began(self);
  process.kill(process.pid, 'SIGKILL');
});
`;

const publisherJs = `
import { appendFileSync, existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { app } from './tasks.mjs';

const { env } = process;
const count = Number(env.COUNT);
const note = (line) => appendFileSync(env.LEDGER, line + '\\n');
let next = 0;
let settled = 0;
let longestMs = 0;
const names = {};
async function lane() {
  while (next < count) {
    const number = next++;
    while (number >= Number(env.PAUSE_AT ?? Infinity) && !existsSync('go')) await sleep(20);
    const id = env.PREFIX + '-' + number;
    const startedAt = performance.now();
    note('intent ' + id);
    try {
      await app.sendTask(env.TASK ?? 'record', [Number(env.MS ?? 0), 'x'.repeat(Number(env.BODY ?? 0))], { taskId: id });
      note('ok ' + id);
      names.ok = (names.ok ?? 0) + 1;
    } catch (error) {
      note('err ' + id + ' ' + error.name);
      names[error.name] = (names[error.name] ?? 0) + 1;
    }
    longestMs = Math.max(longestMs, performance.now() - startedAt);
    settled += 1;
    if (settled % Math.ceil(count / 10) === 0) console.log('settled ' + settled);
    if (env.PACE_MS !== undefined) await sleep(Number(env.PACE_MS));
  }
}
await Promise.all(Array.from({ length: Number(env.WINDOW ?? 50) }, lane));
await app.close();
console.log('done ' + JSON.stringify({ ...names, longestMs: Math.round(longestMs) }));
`;

const tasksPy = `
import json, os, time
from celery import Celery

def note(kind, task_id):
    line = f"{kind} {task_id} {os.getpid()} {int(time.time() * 1000)}\\n"
    handle = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, line.encode())
    os.close(handle)

def began(task):
    note("start", task.request.id)

app = Celery("faults", broker=os.environ["BROKER_URL"], backend=os.environ.get("RESULT_BACKEND"))
app.conf.update(
    task_default_queue="work",
    task_acks_late=os.environ.get("ACKS") != "early",
    task_reject_on_worker_lost=os.environ.get("ACKS") != "early",
    task_ignore_result="RESULT_BACKEND" not in os.environ,
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    worker_proc_alive_timeout=60,
    broker_heartbeat=json.loads(os.environ.get("SETTINGS", "{}")).get("brokerHeartbeat", 120),
)
if os.environ.get("QUEUE_TYPE") == "quorum":
    app.conf.update(task_default_queue_type="quorum", worker_detect_quorum_queues=True)

@app.task(name="record", bind=True)
def record(self, ms, *_):
    began(self)
    time.sleep(ms / 1000)
    note("end", self.request.id)
    return ms

@app.task(name="twice", bind=True, max_retries=2)
def twice(self, *_):
    began(self)
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    note("end", self.request.id)

@app.task(name="poison", bind=True)
def poison(self, *_):
    began(self)
    os.kill(os.getpid(), 9)
`;

const publisherPy = `
import json, os, time
from tasks import app

count = int(os.environ["COUNT"])
names, longest = {}, 0.0
def note(line):
    with open(os.environ["LEDGER"], "a") as file:
        file.write(line + "\\n")
for n in range(count):
    task_id = f"{os.environ['PREFIX']}-{n}"
    while n >= int(os.environ.get("PAUSE_AT", count)) and not os.path.exists("go"):
        time.sleep(0.02)
    started = time.monotonic()
    note(f"intent {task_id}")
    try:
        body = [int(os.environ.get("MS", 0)), "x" * int(os.environ.get("BODY", 0))]
        app.send_task(os.environ.get("TASK", "record"), body, task_id=task_id)
        note(f"ok {task_id}")
        names["ok"] = names.get("ok", 0) + 1
    except Exception as error:
        name = type(error).__name__
        note(f"err {task_id} {name}")
        names[name] = names.get(name, 0) + 1
    longest = max(longest, time.monotonic() - started)
    if (n + 1) % max(1, -(-count // 10)) == 0:
        print(f"settled {n + 1}", flush=True)
    time.sleep(int(os.environ.get("PACE_MS", 0)) / 1000)
print("done " + json.dumps({**names, "longestMs": round(longest * 1000)}), flush=True)
`;

export const programs: Readonly<Record<string, string>> = {
  'tasks.mjs': tasksJs,
  'publisher.mjs': publisherJs,
  'tasks.py': tasksPy,
  'publisher.py': publisherPy,
};
