/** Settings of result backends that celery-ts does not have: known, checked, and without effect. */
import { count, flag, type More, options, seconds, shaped, text, texts } from '../setting.ts';

type Options = Readonly<Record<string, unknown>>;

const absent = (backend: string): More => ({ noEffect: `celery-ts has no ${backend} backend.` });
const cassandra = absent('Cassandra');
const s3 = absent('S3');
const azure = absent('Azure Block Blob');
const gcs = absent('Google Cloud Storage');
const cosmos = absent('Cosmos DB');
const elastic = absent('Elasticsearch');

export const foreign = {
  cassandraEntryTtl: seconds(undefined, 'Cassandra: how long rows are kept.', cassandra),
  cassandraKeyspace: text(undefined, 'Cassandra: keyspace of the results.', cassandra),
  cassandraPort: shaped<string | number | undefined>(
    'string | number',
    undefined,
    'Cassandra: port.',
    (value) => (typeof value === 'number' ? value : String(value)),
    cassandra,
  ),
  cassandraReadConsistency: text(undefined, 'Cassandra: consistency of reads.', cassandra),
  cassandraServers: texts(undefined, 'Cassandra: hosts.', cassandra),
  cassandraBundlePath: text(undefined, 'Cassandra: path of the secure bundle.', cassandra),
  cassandraSecureBundlePath: text(undefined, 'Cassandra: the same by its newer name.', cassandra),
  cassandraTable: text(undefined, 'Cassandra: table of the results.', {
    ...cassandra,
    old: ['CASSANDRA_COLUMN_FAMILY', 'CASSANDRA_TABLE'],
  }),
  cassandraWriteConsistency: text(undefined, 'Cassandra: consistency of writes.', cassandra),
  cassandraAuthProvider: text(undefined, 'Cassandra: class that authenticates.', cassandra),
  cassandraAuthKwargs: shaped<string | Options | undefined>(
    'object',
    undefined,
    'Cassandra: arguments of that class.',
    (value) => (typeof value === 'object' && value !== null ? { ...value } : String(value)),
    { ...cassandra, secret: true },
  ),
  cassandraOptions: options<Options>({}, 'Cassandra: options of the cluster.', cassandra),
  s3AccessKeyId: text(undefined, 'S3: access key.', { ...s3, secret: true }),
  s3SecretAccessKey: text(undefined, 'S3: secret key.', { ...s3, secret: true }),
  s3Bucket: text(undefined, 'S3: bucket.', s3),
  s3BasePath: text(undefined, 'S3: what keys begin with.', s3),
  s3EndpointUrl: text(undefined, 'S3: address of a compatible store.', s3),
  s3Region: text(undefined, 'S3: region.', s3),
  azureblockblobContainerName: text('celery', 'Azure: container.', azure),
  azureblockblobRetryInitialBackoffSec: seconds(2, 'Azure: first pause before a retry.', azure),
  azureblockblobRetryIncrementBase: count(2, 'Azure: base of the growing pauses.', azure),
  azureblockblobRetryMaxAttempts: count(3, 'Azure: attempts.', azure),
  azureblockblobBasePath: text('', 'Azure: what names begin with.', azure),
  azureblockblobConnectionTimeout: seconds(20, 'Azure: how long connecting may take.', azure),
  azureblockblobReadTimeout: seconds(120, 'Azure: how long reading may take.', azure),
  gcsBucket: text(undefined, 'GCS: bucket.', gcs),
  gcsProject: text(undefined, 'GCS: project.', gcs),
  gcsBasePath: text('', 'GCS: what names begin with.', gcs),
  gcsTtl: seconds(0, 'GCS: how long objects are kept.', gcs),
  gcsThreadpoolMaxsize: count(10, 'GCS: threads for bulk operations.', gcs),
  couchbaseBackendSettings: options<Options | undefined>(
    undefined,
    'Couchbase: `host`, `port`, `bucket`, `username`, `password`.',
    { ...absent('Couchbase'), old: ['CELERY_COUCHBASE_BACKEND_SETTINGS'] },
  ),
  arangodbBackendSettings: options<Options | undefined>(
    undefined,
    'ArangoDB: `host`, `port`, `database`, `collection`, `username`, `password` …',
    { ...absent('ArangoDB'), old: ['CELERY_ARANGODB_BACKEND_SETTINGS'] },
  ),
  cosmosdbsqlDatabaseName: text('celerydb', 'Cosmos DB: database.', cosmos),
  cosmosdbsqlCollectionName: text('celerycol', 'Cosmos DB: collection.', cosmos),
  cosmosdbsqlConsistencyLevel: text('Session', 'Cosmos DB: consistency.', cosmos),
  cosmosdbsqlMaxRetryAttempts: count(9, 'Cosmos DB: attempts.', cosmos),
  cosmosdbsqlMaxRetryWaitTime: seconds(30, 'Cosmos DB: longest wait for all attempts.', cosmos),
  elasticsearchRetryOnTimeout: flag(undefined, 'Elasticsearch: ask another node after a timeout.', {
    ...elastic,
    old: ['CELERY_ELASTICSEARCH_RETRY_ON_TIMEOUT'],
  }),
  elasticsearchMaxRetries: count(undefined, 'Elasticsearch: attempts.', {
    ...elastic,
    old: ['CELERY_ELASTICSEARCH_MAX_RETRIES'],
  }),
  elasticsearchTimeout: seconds(undefined, 'Elasticsearch: how long a request may take.', {
    ...elastic,
    old: ['CELERY_ELASTICSEARCH_TIMEOUT'],
  }),
  elasticsearchSaveMetaAsText: flag(true, 'Elasticsearch: keep results as text.', {
    ...elastic,
    old: ['CELERY_ELASTICSEARCH_SAVE_META_AS_TEXT'],
  }),
  dynamodbEndpointUrl: text(undefined, 'DynamoDB: address.', absent('DynamoDB')),
} as const;
