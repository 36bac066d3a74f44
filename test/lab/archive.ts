import { extract } from 'tar-stream';

/** Rows of an archive by table, and its folders and root. */
export async function readArchive(tar: Buffer): Promise<{ root: string; tables: Map<string, Record<string, unknown>[]> }> {
  const tables = new Map<string, Record<string, unknown>[]>();
  let root = '';
  const reader = extract();
  reader.end(tar);
  for await (const entry of reader) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    const [first, , table] = entry.header.name.split('/');
    root ||= first!;
    if (!table) continue;
    if (!tables.has(table)) tables.set(table, []);
    if (entry.header.type === 'file') tables.get(table)!.push(JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>);
  }
  return { root, tables };
}
