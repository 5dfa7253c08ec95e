/**
 * The first word on a row nobody has built yet: which step plans it, or why it makes no sense outside Python. Used once,
 * when the generator meets a key without an entry; from then on the entry in `test/parity` is the truth.
 * The first rule that matches counts.
 */
import type { Entry } from './map.ts';

const planned = (step: number | 'later'): Entry => ({ status: 'planned', step });
const never = (why: string): Entry => ({ status: 'not-applicable', why });

const greenlets = 'Green threads are Python’s; a JavaScript worker is asynchronous by nature (pool `async`).';
const otherBroker = 'The transport is AMQP; another scheme is refused with a message that says so.';
const debug = 'A view into Python’s memory; Node has its inspector (`--inspect`, heap snapshots).';
const pythonOnly = 'Speaks of Python’s own machinery, which has no counterpart in a JavaScript program.';
const oldAmqp = 'Deprecated in AMQP and removed from RabbitMQ.';
const unlikely = 'Hardly asked for; the backend port takes one file when somebody does.';

const rules: readonly (readonly [RegExp, Entry])[] = [
  // Settings: accepted and checked in step 2; those that steer a later room come true with it.
  [/^config:(broker_transport$|broker_(host|port|user|password|vhost)$)/, planned(2)],
  [
    /^config:(broker_url|broker_read_url|broker_write_url|result_backend|timezone|enable_utc|accept_content)$/,
    planned(2),
  ],
  [/^config:worker_(concurrency|prefetch_multiplier|log_color|redirect_stdouts|redirect_stdouts_level)$/, planned(4)],
  [/^config:worker_(pool|max_|proc_alive|lost_wait|autoscaler)/, planned(4)],
  [/^config:worker_(cancel_long|soft_shutdown|enable_soft_shutdown)/, planned(6)],
  [/^config:worker_(state_db|disable_rate_limits|eta_task_limit|deduplicate|enable_prefetch_count)/, planned(5)],
  [/^config:worker_(enable_remote_control|send_task_events)$/, planned(7)],
  [/^config:(worker|beat|events)_(logfile|pidfile|uid|gid|umask|executable)$/, planned(9)],
  [/^config:beat_/, planned(8)],
  [/^config:(control|event)_|^config:task_send_sent_event$/, planned(7)],
  [/^config:security_/, planned(6)],
  [
    /^config:(task_(acks|reject_on|time_limit|soft_time|default_rate|always_eager|eager|store|track|publish_retry))/,
    planned(5),
  ],
  [/^config:(task_inherit_parent_priority|result_extended)$/, planned(5)],
  [/^config:task_allow_error_cb_on_chord_header$|^config:result_chord_/, planned('later')],
  [/^config:broker_(connection|channel|failover|heartbeat|pool)/, planned(6)],
  [/^config:broker_native_delayed/, planned(5)],
  [/^config:redis_/, planned('later')],
  [/^config:/, planned(2)],

  // Command line.
  [
    /^cli:(worker --(hostname|loglevel|queues|exclude-queues|concurrency|pool|include|prefetch-multiplier))$/,
    planned(1),
  ],
  [/^cli:worker --(task-events|without-|heartbeat-interval)/, planned(7)],
  [
    /^cli:worker --(time-limit|soft-time-limit|max-tasks|max-memory|autoscale|optimization|disable-prefetch)/,
    planned(4),
  ],
  [/^cli:worker --statedb$|^cli:worker --purge$/, planned(5)],
  [/^cli:worker --(beat|schedule|scheduler)/, planned(8)],
  [/^cli:worker --/, planned(9)],
  [/^cli:(celery|worker|call|result|report)\b/, planned(1)],
  [/^cli:beat --(detach|logfile|pidfile|uid|gid|umask|executable)/, planned(9)],
  [/^cli:beat/, planned(8)],
  [/^cli:(inspect|control|status|events)/, planned(7)],
  [
    /^cli:shell --(ipython|bpython|python|eventlet|gevent)$/,
    never('Chooses a Python console; the shell here is Node’s.'),
  ],
  [/^cli:(multi|purge|list|amqp|shell|upgrade)/, planned(9)],
  [/^cli:(migrate|graph|logtool)/, planned('later')],
  [/^cli:exit code (69|73)$/, planned(7)],
  [/^cli:exit code/, planned(1)],
  [/^cli-rule:-a-after/, never('On purpose: global options may stand before or after the command.')],
  [/^cli-rule:(find_app|unknown-commands)/, planned(1)],
  [/^cli-rule:(-e-|-d-on)/, planned(7)],
  [/^cli-rule:logtool/, planned('later')],
  [/^cli-rule:/, planned(9)],

  // Tasks.
  [/^task:decorator (lazy|filter)$/, never('A decorator’s need: tasks here are made by a call, at once.')],
  [
    /^task:decorator pydantic_/,
    never('Tuning of one Python validator; schemas here are Standard Schema, used as given.'),
  ],
  [/^task:decorator (pydantic|base|shared)$/, planned(2)],
  [/^task:decorator/, planned(1)],
  [/^task:attribute (Strategy|Request|request_stack|abstract)$/, never(pythonOnly)],
  [/^task:(attribute|apply_async) immediate$/, never(oldAmqp)],
  [/^task:attribute (queue|exchange|exchange_type|routing_key|delivery_mode)$/, planned(2)],
  [
    /^task:attribute (typing|serializer|compression|backend|app|request|AsyncResult|from_config|ignore_result|mandatory|priority)$/,
    planned(1),
  ],
  [/^task:attribute (trail)$/, planned('later')],
  [/^task:attribute send_events$/, planned(7)],
  [/^task:attribute/, planned(5)],
  [
    /^task:apply_async (link|link_error|chord|chain|group_id|group_index|stamped_headers|replaced_task_nesting)$/,
    planned('later'),
  ],
  [
    /^task:apply_async (connection|producer|result_cls|router)$/,
    never('Hands in a Python object; an app here owns its connection, and `route_name` and routes choose the way.'),
  ],
  [/^task:apply_async (retry|retry_policy|timeout|confirm_timeout)$/, planned(6)],
  [/^task:apply_async (time_limit|soft_time_limit|expires|countdown|eta|retries)$/, planned(5)],
  [/^task:apply_async/, planned(1)],
  [/^task:method (start_strategy|push_request|pop_request|bind|annotate)$/, never(pythonOnly)],
  [/^task:method (replace|add_to_chord|map|starmap|chunks|signature_from_request|add_trail)$/, planned('later')],
  [/^task:method (retry)$/, planned(5)],
  [/^task:method send_event$/, planned(7)],
  [/^task:method/, planned(1)],
  [/^task:handler on_replace$/, planned('later')],
  [/^task:handler/, planned(2)],
  [
    /^task:request (loglevel|logfile|utc|taskset)$/,
    never('A leftover of older Celery versions; nothing here would set it.'),
  ],
  [
    /^task:request (stamped_headers|stamps|replaced_task_nesting|children|chain|chord|callbacks|errbacks)$/,
    planned('later'),
  ],
  [/^task:request/, planned(1)],

  // Signals.
  [/^signal:eventlet_/, never(greenlets)],
  [/^signal:app\.on_after_fork$/, never('Children are fresh processes that load the app; nothing is forked with it.')],
  [
    /^signal:(before_task_publish|after_task_publish|task_sent|import_modules|app\.on_configure|app\.on_after_)/,
    planned(1),
  ],
  [/^signal:task_/, planned(5)],
  [/^signal:worker_(before_create|process)/, planned(4)],
  [/^signal:(heartbeat_sent)$/, planned(7)],
  [/^signal:beat_/, planned(8)],
  [/^signal:user_preload_options$/, planned(9)],
  [/^signal:/, planned(5)],

  // Routing.
  [/^routing:(native delayed delivery|priority|expiration|task_inherit_parent_priority)$/, planned(5)],
  [/^routing:control\/event exchanges$/, planned(7)],
  [/^routing:/, planned(1)],

  // Results.
  [/^result:(AbortableAsyncResult|AbortableTask)\./, planned('later')],
  [/^result:(ResultSet|GroupResult)\./, planned('later')],
  [
    /^result:AsyncResult\.(graph|build_graph|iterdeps|get_leaf|collect|as_list|revoke_by_stamped_headers)$/,
    planned('later'),
  ],
  [
    /^result:AsyncResult\.then$|^result:EagerResult\.then$/,
    never('`await result.get()` is JavaScript’s way; a result with `then` would be awaited by accident.'),
  ],
  [/^result:AsyncResult\.throw$/, never(pythonOnly)],
  [/^result:AsyncResult\.revoke$/, planned(5)],
  [/^result:AsyncResult\.(name|args|kwargs|worker|retries|queue)$/, planned(5)],
  [/^result:EagerResult/, planned(5)],
  [/^result:module/, planned(1)],
  [/^result:/, planned(1)],
  [/^state:(RETRY|REVOKED|REJECTED|IGNORED|STARTED|RECEIVED)$/, planned(5)],
  [/^state:ABORTED$/, planned('later')],
  [/^state:/, planned(1)],
  [/^result-rule:(key-value)/, planned('later')],
  [/^result-rule:/, planned(1)],

  // Errors.
  [
    /^exception:(FixupWarning|CDeprecationWarning|CPendingDeprecationWarning|AlwaysEagerIgnored|NotConfigured)$/,
    never('A category of Python’s warnings; a warning here is a log record.'),
  ],
  [/^exception:(SystemExit|MemoryError)/, planned(4)],
  [/^exception:(SchedulingError|ParseException)$/, planned(8)],
  [/^exception:(LockFailed|CeleryCommandException)$/, planned(9)],
  [/^exception:BacklogLimitExceeded$/, planned(6)],
  [/^exception:DuplicateNodenameWarning$/, planned(7)],
  [/^exception:(SecurityWarning|SecurityError)$/, planned(6)],
  [/^exception:(Soft)?Time/, planned(5)],
  [/^exception:/, planned(5)],

  // The worker.
  [/^behaviour:prefetch: (worker_disable_prefetch)/, never('Works on Redis brokers only, in Celery too.')],
  [/^behaviour:(prefetch|eta|rate_limit|retry|revoke|dedup|idempotent)/, planned(5)],
  [/^behaviour:(pool recycling|autoscale|time limits|optimisation)/, planned(4)],
  [/^behaviour:pool kinds: (gevent|eventlet)/, planned(4)],
  [/^behaviour:pool kinds/, planned(4)],
  [/^behaviour:shutdown: (remote)/, planned(7)],
  [/^behaviour:shutdown: hup/, planned(9)],
  [/^behaviour:(shutdown|connection loss|security)/, planned(6)],
  [/^behaviour:heartbeats: amqp/, planned(6)],
  [/^behaviour:(heartbeats|clock|gossip)/, planned(7)],
  [/^behaviour:start: --purge/, planned(5)],
  [/^behaviour:start: refuses-pickle/, never('Pickle is never read here, as root or not.')],
  [/^behaviour:start/, planned(1)],
  [/^behaviour:logging: (stdout)/, planned(4)],
  [/^behaviour:logging: (i-and)/, planned(9)],
  [/^behaviour:logging/, planned(1)],
  [/^behaviour:daemon: c_fakefork/, never('A switch for debugging Python’s fork.')],
  [/^behaviour:daemon/, planned(9)],
  [/^behaviour:celery_once/, planned('later')],
  [/^behaviour:remote debugger/, never(debug)],
  [/^behaviour:testing/, planned(3)],
  [/^behaviour:django/, never('An integration with a Python web framework.')],
  [/^acks:(early|late|any), (cold shutdown|connection lost|prefetched)/, planned(6)],
  [/^acks:/, planned(5)],

  // Control and events.
  [/^control:inspect (memsample|memdump|objgraph)$/, never(debug)],
  [/^(control|event):/, planned(7)],

  // Beat.
  [/^beat:(pickling)$/, never('Python’s way of storing objects; the schedule file is JSON.')],
  [
    /^beat:dst\.enable_utc_off$/,
    never('Instants are computed over the zone’s rules; there is no second arithmetic to choose.'),
  ],
  [/^(beat|solar):/, planned(8)],

  // Canvas.
  [/^canvas:operator/, never('JavaScript has no operator overloading: `chain(a, b)`, `a.pipe(b)`.')],
  [/^canvas/, planned('later')],

  // Bootsteps.
  [
    /^bootstep:(worker Hub|consumer Evloop)$|^extension:register_with_event_loop/,
    never('Node’s event loop is always there; there is no hub to register with.'),
  ],
  [/^bootstep:consumer Agent$/, never('An actor library of Python’s, unused by Celery itself.')],
  [/^(bootstep:consumer (Events|Mingle|Control|Gossip|Heart)|extension:gossip)/, planned(7)],
  [/^bootstep:worker Beat$/, planned(8)],
  [/^bootstep:(worker StateDB|consumer DelayedDelivery|worker Timer)$/, planned(5)],
  [/^bootstep:worker (Pool|Autoscaler)$/, planned(4)],
  [/^extension:(app\.user_options)$/, planned(9)],
  [/^extension:graph$/, planned('later')],
  [/^extension:(custom Task|custom loader)/, never(pythonOnly)],
  [/^(bootstep|extension):/, planned(2)],

  // Backends, transports, payloads.
  [/^backend:(rpc|disabled)$/, planned(1)],
  [/^backend:(redis|sentinel|database|mongodb|filesystem|cache|custom)$/, planned('later')],
  [/^backend:riak$/, never('Removed from Celery.')],
  [/^backend:/, never(unlikely)],
  [/^transport:(pyamqp|librabbitmq)$/, planned(1)],
  [/^transport:memory$/, never('Its place is taken by the embedded AMQP broker (`celery-ts/broker`).')],
  [/^transport:/, never(otherBroker)],
  [
    /^serializer:pickle$/,
    never('Reading a pickle runs code of whoever wrote it; refused with a message that says so.'),
  ],
  [/^serializer:auth$/, planned(6)],
  [/^serializer:json$/, planned(1)],
  [/^serializer:|^compression:/, planned(2)],

  [/^monitor:/, planned('later')],
];

/** What the plan says of a key. */
export function firstWord(key: string): Entry {
  const rule = rules.find(([pattern]) => pattern.test(key));
  if (rule === undefined) throw new Error(`The plan has no word on '${key}'.`);
  return rule[1];
}
