/**
 * The source files as text with what they import, for tests that hold the house rules.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { root } from './build.ts';

export interface SourceFile {
  /** From the folder `src`: `worker/pool/pool.ts`. */
  readonly path: string;
  /** Its first folder; `''` for `index.ts`. */
  readonly room: string;
  /** Without comments, line numbers kept. */
  readonly code: string;
  readonly imports: readonly Import[];
}

export interface Import {
  /** As written. */
  readonly specifier: string;
  /** From the folder `src`, for a relative one. */
  readonly target: string | undefined;
  readonly line: number;
  /** Gone when compiled: `import type`, or every name in the braces a `type`. */
  readonly isTypeOnly: boolean;
}

/** Every file of `src`. */
export function sourceFiles(): SourceFile[] {
  const src = join(root, 'src');
  return readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .sort()
    .map((path) => {
      const code = withoutComments(readFileSync(join(src, path), 'utf8'));
      return { path, room: path.includes('/') ? (path.split('/')[0] ?? '') : '', code, imports: importsOf(path, code) };
    });
}

/** `import … from`, `export … from`, `import '…'`, `import('…')`; types included. */
export function importsOf(path: string, code: string): Import[] {
  const forms = [/\b(?:import|export)\b[^'";]*?\bfrom\s*(['"])([^'"]+)\1/g, /\bimport\s*\(?\s*(['"])([^'"]+)\1/g];
  return forms
    .flatMap((form) => [...code.matchAll(form)])
    .map((match) => {
      const specifier = match[2] ?? '';
      return {
        specifier,
        target: specifier.startsWith('.') ? normalize(join(dirname(path), specifier)) : undefined,
        line: lineOf(code, match.index + match[0].length - 1),
        isTypeOnly: isTypeOnly(match[0]),
      };
    })
    .sort((a, b) => a.line - b.line);
}

function isTypeOnly(statement: string): boolean {
  if (/^(?:import|export)\s+type\b/.test(statement)) return true;
  const braces = /^(?:import|export)\s*\{([^}]*)\}/.exec(statement)?.[1];
  const names = braces?.split(',').filter((name) => name.trim() !== '');
  return names?.every((name) => /^\s*type\s/.test(name)) === true;
}

export function lineOf(code: string, index: number): number {
  return code.slice(0, index).split('\n').length;
}

/** Blanks comments out. Strings, templates and regular expressions that contain comment signs stay as they are. */
export function withoutComments(code: string): string {
  const tokens =
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|(?<=[(=,:[!&|?{};\n]\s*)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\//g;
  return code.replaceAll(tokens, (token) =>
    token.startsWith('/*') || token.startsWith('//') ? token.replaceAll(/[^\n]/g, ' ') : token,
  );
}
