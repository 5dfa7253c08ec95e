"""Calls both workers of the fleet from Python:  python call.py"""
from tasks import address, app, mean

print('mean, from Python:', mean.delay([1, 2, 6]).get(timeout=30))
print('slug, from TypeScript:', app.send_task('ts.slug', kwargs={'text': 'Über uns'}).get(timeout=30))
print('address, sent to Python, answered by TypeScript:', address.delay('Ada', 'Lovelace').get(timeout=30))
