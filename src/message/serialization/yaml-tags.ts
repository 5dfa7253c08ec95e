/**
 * What a plain word means to PyYAML, which is not quite YAML 1.1: `y` is text there and `yes` is true, `1e+21` is text and `1.0e+21` a number,
 * `0912` is text and `0712` is octal. The package's own YAML 1.1 differs in each, and a keyword argument `y` would arrive as `true`.
 * The patterns follow PyYAML's implicit resolvers.
 */
import { Buffer } from 'node:buffer';
import type { ScalarTag, Tags } from 'yaml';

const bool: ScalarTag = {
  default: true,
  tag: 'tag:yaml.org,2002:bool',
  test: /^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$/,
  resolve: (text) => /^(?:yes|true|on)$/i.test(text),
};

const int: ScalarTag = {
  default: true,
  tag: 'tag:yaml.org,2002:int',
  test: /^(?:[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$/,
  resolve: (text) => {
    const plain = text.replace(/[+_-]/g, '');
    const size = plain.includes(':')
      ? sexagesimal(plain)
      : BigInt(/^0[0-7]/.test(plain) ? `0o${plain.slice(1)}` : plain);
    const value = text.startsWith('-') ? -size : size;
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  },
};

const float: ScalarTag = {
  default: true,
  tag: 'tag:yaml.org,2002:float',
  test: /^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/,
  resolve: (text) => {
    const plain = text.replace(/[+_]/g, '').toLowerCase();
    if (plain.endsWith('nan')) return Number.NaN;
    if (plain.endsWith('inf')) return plain.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
    if (!plain.includes(':')) return Number(plain.replace(/e(\d)/, 'e+$1'));
    const [whole = '', fraction = ''] = plain.replace('-', '').split('.');
    const size = Number(sexagesimal(whole)) + Number(`0.${fraction || '0'}`);
    return plain.startsWith('-') ? -size : size;
  },
};

const timestamp: ScalarTag = {
  default: true,
  tag: 'tag:yaml.org,2002:timestamp',
  test: /^(?:\d{4}-\d\d-\d\d|\d{4}-\d\d?-\d\d?(?:[Tt]|[ \t]+)\d\d?:\d\d:\d\d(?:\.\d*)?(?:[ \t]*(?:Z|[-+]\d\d?(?::\d\d)?))?)$/,
  resolve: (text, onError) => {
    const date = readTimestamp(text);
    if (date === undefined) onError(`'${text}' is no date`);
    return date;
  },
};

const binary: ScalarTag = {
  default: false,
  tag: 'tag:yaml.org,2002:binary',
  resolve: (text) => new Uint8Array(Buffer.from(text, 'base64')),
};

/** Everything that has a meaning. A tag that is not here is refused. */
export const readTags: Tags = [
  'map',
  'seq',
  'null',
  bool,
  int,
  float,
  timestamp,
  binary,
  'merge',
  'set',
  'omap',
  'pairs',
];

/** `1:30` is ninety. */
function sexagesimal(text: string): bigint {
  let value = 0n;
  for (const part of text.split(':')) value = value * 60n + BigInt(part);
  return value;
}

/** Parts may have one digit, and without an offset the time is UTC. */
function readTimestamp(text: string): Date | undefined {
  const match =
    /^(\d+)-(\d+)-(\d+)(?:(?:[Tt]|[ \t]+)(\d+):(\d+):(\d+)(?:\.(\d*))?(?:[ \t]*(?:Z|([-+])(\d+)(?::(\d+))?))?)?$/.exec(
      text,
    );
  if (match === null) return undefined;
  const [
    ,
    year,
    month,
    day,
    hour = '0',
    minute = '0',
    second = '0',
    fraction = '',
    sign,
    zoneHour = '0',
    zoneMinute = '0',
  ] = match;
  const milliseconds = Number(fraction.slice(0, 3).padEnd(3, '0'));
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  date.setUTCHours(Number(hour), Number(minute), Number(second), milliseconds);
  // A day, hour or minute that is not there has moved the date on.
  const isThere =
    date.getUTCMonth() === Number(month) - 1 &&
    date.getUTCDate() === Number(day) &&
    date.getUTCMinutes() === Number(minute);
  if (!isThere || Number(hour) > 23) return undefined;
  const offset = (Number(zoneHour) * 60 + Number(zoneMinute)) * (sign === '-' ? -1 : 1);
  return new Date(date.getTime() - offset * 60_000);
}
