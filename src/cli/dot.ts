/** Graphs in the language of Graphviz: `celery-ts graph … | dot -Tsvg`. Pure. */

export interface DotNode {
  /** Told apart by it. */
  readonly id: string;
  readonly label?: string;
  /** A row of `looks`. */
  readonly look: keyof typeof looks;
}

export interface DotGraph {
  readonly name: string;
  /** Drawn above the picture. */
  readonly title?: string | undefined;
  readonly nodes: readonly DotNode[];
  /** From what depends to what it depends on. */
  readonly edges: readonly (readonly [from: string, to: string])[];
  /** Names of groups, drawn as boxes around their nodes. */
  readonly groups?: ReadonlyMap<string, readonly string[]>;
}

const looks = {
  step: { shape: 'box', fillcolor: 'palegreen' },
  ownStep: { shape: 'box', fillcolor: 'gold' },
  worker: { shape: 'box', fillcolor: 'palegreen' },
  thread: { shape: 'oval', fillcolor: 'lightgrey', fontsize: '10' },
  broker: { shape: 'cylinder', fillcolor: 'lightblue' },
  backend: { shape: 'folder', fillcolor: 'peachpuff' },
} as const satisfies Record<string, Readonly<Record<string, string>>>;

/** The graph as text, ending with a line's end. */
export function dot({ edges, groups = new Map(), name, nodes, title }: DotGraph): string {
  const grouped = new Set([...groups.values()].flat());
  const drawn = (indent: string, wanted: (node: DotNode) => boolean): string[] =>
    nodes.filter(wanted).map(({ id, label, look }) => {
      const given = { label: label ?? id, ...looks[look] };
      const attributes = Object.entries(given).map(([key, value]) => `${key}=${quoted(value)}`);
      return `${indent}${quoted(id)} [${attributes.join(', ')}];`;
    });
  return [
    `digraph ${quoted(name)} {`,
    '  rankdir=BT;',
    ...(title === undefined ? [] : [`  label=${quoted(title)};`, '  labelloc=t;']),
    '  node [style=filled, fontname="sans-serif"];',
    ...[...groups].flatMap(([group, ids]) => [
      `  subgraph ${quoted(`cluster_${group}`)} {`,
      `    label=${quoted(group)};`,
      ...drawn('    ', ({ id }) => ids.includes(id)),
      '  }',
    ]),
    ...drawn('  ', ({ id }) => !grouped.has(id)),
    ...edges.map(([from, to]) => `  ${quoted(from)} -> ${quoted(to)};`),
    '}',
    '',
  ].join('\n');
}

/** A quoted string of the language: only quotes and backslashes mean something in it. */
function quoted(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}
