/**
 * What goes to a terminal: colours where somebody wants them, and text of other hosts without its control characters,
 * which could otherwise write anywhere on the screen.
 */
import { inOneLine, printable as withVisibleControls } from '../core/log-text.ts';
import type { CommandContext } from './context.ts';

export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  good(text: string): string;
  bad(text: string): string;
  name(text: string): string;
  reverse(text: string): string;
}

export const plainStyle: Style = {
  bold: (text) => text,
  dim: (text) => text,
  good: (text) => text,
  bad: (text) => text,
  name: (text) => text,
  reverse: (text) => text,
};

export const colorStyle: Style = {
  bold: sgr('1', '22'),
  dim: sgr('2', '22'),
  good: sgr('1;32', '22;39'),
  bad: sgr('1;31', '22;39'),
  name: sgr('1;36', '22;39'),
  reverse: sgr('7', '27'),
};

/** Colours on a terminal, unless `--no-color` or `NO_COLOR` says otherwise. */
export function styleFor({ env, stdout }: CommandContext, options: { readonly color?: boolean }): Style {
  return stdout.isTTY === true && options.color !== false && !env.NO_COLOR ? colorStyle : plainStyle;
}

/** Control characters become visible; tabs become four spaces, so that columns stay; line ends stay. */
export function printable(text: string): string {
  return withVisibleControls(text).replaceAll('\t', '    ');
}

/** The same on one line. */
export function printableLine(text: string): string {
  return inOneLine(text).replaceAll('\t', '    ');
}

function sgr(on: string, off: string): (text: string) => string {
  return (text) => `\u001b[${on}m${text}\u001b[${off}m`;
}
