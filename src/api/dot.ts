import type { StreamJson } from './describe.ts';

/**
 * `/api/streams.dot`: producers, streams and consumers as a Graphviz graph; edges carry the bytes
 * (compatibility.md 1.1).
 */
export function streamsDot(streams: Readonly<Record<string, StreamJson>>): string {
  const lines = ['digraph {', '  rankdir=LR', '  node [shape=box]'];
  for (const [name, { producers, consumers }] of Object.entries(streams)) {
    const node = quote(`stream ${name}`);
    lines.push(`  ${node} [label=${quote(name)}, shape=ellipse]`);
    for (const [index, producer] of (producers ?? []).entries()) {
      const from = quote(`producer ${name} ${index}`);
      const label = [producer.format_name ?? 'idle', producer.protocol ?? '', producer.url];
      lines.push(`  ${from} [label=${quote(label.filter((part) => part !== '').join('\n'))}]`);
      lines.push(`  ${from} -> ${node} [label=${quote(size(producer.bytes_recv ?? 0))}]`);
    }
    for (const consumer of consumers ?? []) {
      const to = quote(`consumer ${consumer.id}`);
      const label = [consumer.format_name, consumer.protocol ?? '', consumer.remote_addr ?? ''];
      lines.push(`  ${to} [label=${quote(label.filter((part) => part !== '').join('\n'))}]`);
      lines.push(`  ${node} -> ${to} [label=${quote(size(consumer.bytes_send ?? 0))}]`);
    }
  }
  lines.push('}', '');
  return lines.join('\n');
}

function quote(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}

function size(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return unit === 0 ? `${bytes} B` : `${value.toFixed(2)} ${units[unit]}`;
}
