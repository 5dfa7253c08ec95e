/** The tree of results: which task sent which. Walked breadth first, as Celery does. */
import type { AnyResult } from './any-result.ts';
import { IncompleteStream } from './errors.ts';

/** Walks from `start` to everything it sent. @throws {IncompleteStream} when a node has not ended, unless `intermediate` */
export async function* walk(
  start: AnyResult,
  intermediate: boolean,
): AsyncGenerator<[parent: AnyResult | undefined, node: AnyResult], void, undefined> {
  const seen = new Set<string>(); // what a peer stored may name itself as its child
  const queue: [AnyResult | undefined, AnyResult][] = [[undefined, start]];
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const node = next[1];
    if (seen.has(node.id)) continue;
    seen.add(node.id);
    yield next;
    if (await node.ready()) {
      for (const child of (await node.children) ?? []) queue.push([node, child]);
    } else if (!intermediate) {
      throw new IncompleteStream(`Task ${node.id} has not ended, so its tree is not all there yet.`);
    }
  }
}

/** A directed graph of handles. `edges` go from a task to those it sent. */
export interface ResultGraph {
  readonly nodes: ReadonlyMap<string, AnyResult>;
  readonly edges: ReadonlyMap<string, readonly string[]>;
  /** The graph in the DOT language of Graphviz. */
  toDot(): string;
}

export async function buildGraph(start: AnyResult, intermediate: boolean): Promise<ResultGraph> {
  const nodes = new Map<string, AnyResult>();
  const edges = new Map<string, string[]>();
  for await (const [parent, node] of walk(start, intermediate)) {
    nodes.set(node.id, node);
    edges.set(node.id, edges.get(node.id) ?? []);
    if (parent !== undefined) edges.get(parent.id)?.push(node.id);
  }
  return { nodes, edges, toDot: () => toDot(nodes, edges) };
}

function toDot(nodes: ReadonlyMap<string, AnyResult>, edges: ReadonlyMap<string, readonly string[]>): string {
  const lines = ['digraph results {'];
  for (const id of nodes.keys()) lines.push(`  ${JSON.stringify(id)};`);
  for (const [from, targets] of edges) {
    for (const to of targets) lines.push(`  ${JSON.stringify(from)} -> ${JSON.stringify(to)};`);
  }
  return `${lines.join('\n')}\n}\n`;
}
