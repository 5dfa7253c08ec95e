/**
 * Settings: one table (`settings/table.ts`), its types, and the way from what users give to the strict `Config`.
 * Loose input in three spellings goes in (`ConfigInput`), camelCase comes out; one error lists every problem.
 */
export { brokerTls, brokerUrls, type TlsOptions, type TransportOptions } from './settings/broker-address.ts';
export { oldNames, settingNamed, snakeCase } from './settings/names.ts';
export {
  argumentsSource,
  type ConfigSource,
  celeryNames,
  type Environment,
  environmentSource,
  environmentVariables,
  parseConfig,
  parseSource,
  type Remark,
  type ResolvedConfig,
  resolveConfig,
} from './settings/parse.ts';
export type { Seconds, Setting, TimeSpan } from './settings/setting.ts';
export type {
  BeatEntry,
  BeatSchedule,
  QueuesSetting,
  RetryPolicy,
  Route,
  RouteAnswer,
  RouteFunction,
  RouteMap,
  RoutePair,
  RouterObject,
  TaskRouter,
  TaskRoutes,
} from './settings/shapes.ts';
export {
  type CeleryConfig,
  type Config,
  type ConfigInput,
  families,
  type SettingName,
  settingNames,
  settingOf,
  settings,
} from './settings/table.ts';
