"""The same task for a Python worker; see tasks.ts."""

import json
import os
import threading
import time

from celery import Celery

app = Celery("bench", broker=os.environ["BENCH_BROKER_URL"])
app.conf.update(
    task_default_queue=os.environ["BENCH_QUEUE"],
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=int(os.environ["BENCH_MULTIPLIER"]),
)

tally = {"count": 0, "first": 0.0, "last": 0.0}
writer = None


def write_for_ever():
    written = 0
    path = os.path.join(os.environ["BENCH_TALLY"], "%d.json" % os.getpid())
    while True:
        time.sleep(0.2)
        if tally["count"] != written:
            written = tally["count"]
            with open(path + ".new", "w") as file:
                json.dump(tally, file)
            os.replace(path + ".new", path)


@app.task(name="bench.add")
def add(x, y):
    global writer
    now = time.time() * 1000
    if writer is None:
        tally["first"] = now
        writer = threading.Thread(target=write_for_ever, daemon=True)
        writer.start()
    tally["count"] += 1
    tally["last"] = now
    return x + y
