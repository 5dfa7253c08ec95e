/**
 * The letters that stand for parts of a node's name in log and pid files: `%n` name, `%h` host, `%d` domain, `%p` the
 * whole name, `%i` the number of the pool process and `%I` the same with a dash before it; both belong to the worker.
 */
import { CommandError, exitCodes } from './exit-codes.ts';

export interface NodeParts {
  /** `w1@host.example.com` */
  readonly full: string;
  /** `w1` */
  readonly name: string;
  /** `host.example.com` */
  readonly host: string;
}

export function nodeParts(full: string): NodeParts {
  const at = full.indexOf('@');
  return at === -1 ? { full, name: full, host: '' } : { full, name: full.slice(0, at), host: full.slice(at + 1) };
}

/**
 * `%n%I.log` for a node. `index` is that of the pool process: 0 in the main process, whose `%I` is empty; `'later'`
 * leaves `%i` and `%I` for the worker to fill in.
 * @throws {CommandError} 2 for a letter that means nothing.
 */
export function expandNodeFormat(template: string, node: NodeParts, index: number | 'later' = 0): string {
  return template.replace(/%([a-zA-Z])/g, (found, letter: string) => {
    switch (letter) {
      case 'p':
        return node.full;
      case 'n':
        return node.name;
      case 'h':
        return node.host;
      case 'd':
        return node.host.split('.').slice(1).join('.');
      case 'i':
        return index === 'later' ? found : String(index);
      case 'I':
        return index === 'later' ? found : index === 0 ? '' : `-${index}`;
      default:
        throw new CommandError(
          `'${found}' in '${template}' means nothing; there are %p (node), %n (name), %h (host), %d (domain), %i and %I (pool process).`,
          exitCodes.usage,
        );
    }
  });
}
