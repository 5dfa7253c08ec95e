"""The Python half of the fleet, on the queue `python`:

    celery -A tasks worker -Q python -l INFO        (in this folder)
"""
import os
import statistics

from celery import Celery

app = Celery(
    'fleet',
    broker=os.environ.get('CELERY_BROKER_URL', 'amqp://guest:guest@localhost:5672//'),
    backend='rpc://',
)
app.conf.task_default_queue = 'python'
app.conf.task_routes = {'py.*': {'queue': 'python'}, 'ts.*': {'queue': 'typescript'}}


@app.task(name='py.mean')
def mean(numbers):
    return statistics.mean(numbers)


@app.task(name='py.address', bind=True)
def address(self, first, last):
    """Knows the name, and leaves its form to TypeScript: the answer comes under this task's id."""
    form = app.signature('ts.slug', kwargs={'text': f'{first} {last}'})
    raise self.replace(form.set(reply_to=self.request.reply_to))  # Celery would have rpc:// answer this worker
