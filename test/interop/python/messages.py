"""The other side of messages.test.ts: kombu and Celery, asked over stdin and stdout, one JSON object a line, no broker."""

import base64
import json
import sys
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

from celery import Celery
from celery.exceptions import Retry, TaskRevokedError
from celery.worker.request import Request
from kombu import compression, serialization
from kombu.message import Message

if 'application/zstd' not in compression.encoders():
    # kombu takes zstd from the standard library of Python 3.14 or from backports.zstd; Celery 5.6 took it from zstandard.
    import zstandard

    compression.register(
        zstandard.ZstdCompressor().compress,
        lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
        'application/zstd',
        aliases=['zstd', 'zstandard'],
    )

accept = {'application/json', 'application/x-yaml', 'application/x-msgpack'}

values = {
    'text': 'héllo ☃ 😀 \x00 "quoted" \\ \n',
    'lookalikes': ['null', 'yes', '1', '1.5', '2024-02-03', '1:30', '~', '', ' x ', '0x1f', '1_000', '=', '<<', '1e+21'],
    'numbers': [0, -1, 127, 128, 255, 256, 65535, 65536, 2**31, 2**32, 2**53 - 1, -(2**53) + 1, 1.5, -0.25, 1e-7, 1e300],
    'big': [2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1],
    'huge': [2**70, -(2**100)],
    'specials': [float('inf'), float('-inf')],
    'nan': float('nan'),
    'nested': {'a': [1, {'b': [None, True, False]}], 'empty': [{}, []], 'é': 'ü'},
    'datetime': datetime(2024, 2, 3, 4, 5, 6, 789000, tzinfo=timezone.utc),
    'whole datetime': datetime(2024, 2, 3, 4, 5, 6, tzinfo=timezone.utc),
    'midnight': datetime(2024, 2, 3, tzinfo=timezone.utc),
    'naive datetime': datetime(2024, 2, 3, 4, 5, 6, 789000),
    'datetime elsewhere': datetime(2024, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=2))),
    'date': date(2024, 2, 3),
    'time': time(4, 5, 6, 7000),
    'decimal': Decimal('1.50'),
    'uuid': UUID('12345678-1234-5678-1234-567812345678'),
    'bytes': b'hello',
    'binary': b'\xff\x00\xfe',
    'typed inside': {'at': [datetime(2024, 2, 3, tzinfo=timezone.utc), Decimal('-1E+3')], 'k': {'id': UUID(int=1)}},
}

app = Celery('peer', set_as_current=False, broker='memory://', backend='cache+memory://')


@app.task(name='tasks.add', shared=False)
def add(x, y):
    return x + y


class Refused(Exception):
    pass


def dumps(name, serializer):
    content_type, content_encoding, body = serialization.dumps(values[name], serializer=serializer)
    return {'contentType': content_type, 'contentEncoding': content_encoding, 'body': encoded(body)}


def loads(name, contentType, contentEncoding, body):
    value = serialization.loads(base64.b64decode(body), contentType, contentEncoding, accept=accept)
    expected = values[name]
    return {'same': repr(value) == repr(expected), 'value': repr(value), 'expected': repr(expected)}


def show(contentType, contentEncoding, body):
    return repr(serialization.loads(base64.b64decode(body), contentType, contentEncoding, accept=accept))


def echo(contentType, contentEncoding, body):
    """Reads a value and writes it again, in the same form."""
    value = serialization.loads(base64.b64decode(body), contentType, contentEncoding, accept=accept)
    content_type, content_encoding, again = serialization.dumps(value, serializer=contentType.split('-')[-1].split('/')[-1])
    return {'contentType': content_type, 'contentEncoding': content_encoding, 'body': encoded(again)}


def compress(name, body):
    packed, content_type = compression.compress(base64.b64decode(body), name)
    return {'body': encoded(packed), 'contentType': content_type}


def decompress(name, body):
    return encoded(compression.decompress(base64.b64decode(body), name))


def publish(protocol, serializer, options, compress_with=None):
    """A message as Python's client would publish it."""
    for field in ('eta', 'expires'):
        if options.get(field):
            options[field] = datetime.fromisoformat(options[field])
    make = app.amqp.as_task_v2 if protocol == 2 else app.amqp.as_task_v1
    made = make('id-1', 'tasks.add', **options)
    headers = dict(made.headers)
    content_type, content_encoding, body = serialization.dumps(made.body, serializer=serializer)
    if compress_with:
        body, headers['compression'] = compression.compress(body, compress_with)
    return {
        'headers': headers,
        'properties': {'contentType': content_type, 'contentEncoding': content_encoding, **{
            'correlationId': made.properties.get('correlation_id'), 'replyTo': made.properties.get('reply_to')}},
        'body': encoded(body),
    }


def receive(headers, properties, body):
    """What a Python worker makes of a message."""
    message = Message(
        body=base64.b64decode(body),
        content_type=properties['contentType'],
        content_encoding=properties['contentEncoding'],
        headers=headers,
        properties={'correlation_id': properties.get('correlationId'), 'reply_to': properties.get('replyTo')},
        compression=headers.get('compression'),
        accept=accept,
        delivery_info={},
    )
    if 'task' in headers:
        request = Request(message, app=app, task=add)
    else:
        from celery.worker.strategy import proto1_to_proto2

        payload, new_headers, decoded, utc = proto1_to_proto2(message, message.decode())
        request = Request(message, app=app, task=add, body=payload, headers=new_headers, decoded=decoded, utc=utc)
    args, kwargs, embed = request._payload
    return {
        'id': request.id,
        'name': request.name,
        'args': repr(list(args)),
        'kwargs': repr(kwargs),
        'embed': {key: embed.get(key) for key in ('callbacks', 'errbacks', 'chain', 'chord')},
        'eta': request.eta and request.eta.astimezone(timezone.utc).isoformat(),
        'expires': request.expires and request.expires.astimezone(timezone.utc).isoformat(),
        'time_limits': list(request.time_limits),
        'reply_to': request.reply_to,
        'correlation_id': request.correlation_id,
        'retries': request.request_dict.get('retries'),
        'root_id': request.root_id,
        'parent_id': request.parent_id,
        'stamps': request.stamps,
    }


def prepare_exception(name):
    made = {
        'value error': lambda: ValueError('bad', 7),
        'type error': lambda: TypeError('bad'),
        'revoked': lambda: TaskRevokedError('expired'),
        'custom': lambda: Refused('card', {'limit': 5}),
        'unserialisable': lambda: Refused(object),
    }[name]()
    return app.backend.prepare_exception(made, serializer='json')


def exception_to_python(map):
    error = app.backend.exception_to_python(map)
    kind = type(error)
    return {'module': kind.__module__, 'type': kind.__qualname__, 'args': repr(error.args), 'isError': isinstance(error, Exception)}


def encoded(body):
    return base64.b64encode(body.encode() if isinstance(body, str) else body).decode()


asked = {f.__name__: f for f in (
    dumps, loads, show, echo, compress, decompress, publish, receive, prepare_exception, exception_to_python)}

for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {'answer': asked[request['ask']](**request['with'])}
    except Exception as exc:
        answer = {'error': f'{type(exc).__name__}: {exc}'}
    print(json.dumps(answer), flush=True)
